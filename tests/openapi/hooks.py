"""Sends each request with what its path asks for: a token, a key or a signature."""

import hashlib
import hmac
import os

import requests
import schemathesis

OPERATE = os.environ["OPERATE_TOKEN"]
INGEST = os.environ["INGEST_KEY"]
SIGNING = os.environ["SIGNING_KEY"].encode()


def hmac_of(algorithm, *parts):
    return hmac.new(SIGNING, b"".join(parts), algorithm).hexdigest()


class Credentials(requests.auth.AuthBase):
    def __call__(self, request):
        body = request.body or b""
        body = body.encode() if isinstance(body, str) else body
        path = request.path_url.split("?")[0]
        if path == "/webhooks/customerio":
            request.headers["X-CIO-Timestamp"] = "1795000000"
            request.headers["X-CIO-Signature"] = hmac_of(hashlib.sha256, b"v0:1795000000:", body)
        elif path == "/webhooks/pipelines":
            request.headers["X-Signature"] = hmac_of(hashlib.sha1, body)
        else:
            request.headers["Authorization"] = f"Bearer {INGEST if is_sending(request.method, path) else OPERATE}"
        return request


def is_sending(method, path):
    reads = ("campaigns", "broadcasts", "newsletters", "transactional", "messages", "customers")
    is_read = path.startswith("/v1/") and path.split("/")[2] in reads
    return path.startswith(("/v1/", "/api/", "/push/", "/webhooks/", "/unsubscribe/")) and not is_read


schemathesis.auth.set_from_requests(Credentials())

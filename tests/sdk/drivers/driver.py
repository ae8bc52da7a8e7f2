"""What the drivers of the Python SDKs have in common.

They are run with the address of a server, a key and a list of calls as JSON, and say at the end what the SDK itself
made of it.
"""

import json
import re
import sys
from datetime import datetime

url, key = sys.argv[1:3]
calls = json.loads(sys.argv[3])


errors = []


def report(error, batch=None):
    """Takes down what an SDK reports."""
    errors.append(error)


def outcome():
    """Says how it went: well, or with which error first."""
    print("outcome " + json.dumps({"ok": not errors, "error": str(errors[0]) if errors else None}), flush=True)


def send(client):
    """Sends calls of Data Pipelines, whose SDKs are alike, and waits until the SDK is done with them."""
    for call in calls:
        method = getattr(client, call.pop("type"))
        call["timestamp"] = datetime.fromisoformat(call["timestamp"].replace("Z", "+00:00"))
        method(**{re.sub("([A-Z])", r"_\1", name).lower(): value for name, value in call.items()})
    client.shutdown()
    outcome()

from rudderstack.analytics.client import Client

from driver import key, send, url

errors = []
client = Client(key, host=url, on_error=lambda error, batch: errors.append(error))

send(client, errors)

from segment.analytics.client import Client

from driver import key, report, send, url

client = Client(key, host=url, on_error=report)

send(client)

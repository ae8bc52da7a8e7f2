from customerio import CustomerIO, CustomerIOException

from driver import calls, key, outcome, report, url

site_id, api_key = key.split(":")
client = CustomerIO(site_id, api_key, host=url)
# it speaks https only, to whatever host
client.base_url = client.base_url.replace("https:", "http:")


def send(method, **call):
    if method == "metric":
        # it has no method of its own for these
        client.send_request("POST", client.base_url + "/metrics", call)
    elif method == "push":
        client.send_request("POST", client.base_url + "/push/events", call)
    elif method == "unsubscribe":
        client.send_request("POST", f"{url}/unsubscribe/{call['delivery_id']}", {"unsubscribe": True})
    elif method == "identify":
        client.identify(call["id"], **call["attributes"])
    elif method == "event":
        client.track(call["id"], call["name"], timestamp=call["timestamp"])
    elif method == "device":
        client.add_device(call["id"], call["device_id"], call["platform"], last_used=call["timestamp"])
    elif method == "batch":
        client.send_request("POST", url + "/api/v2/batch", {"batch": call["operations"]})


for call in calls:
    try:
        send(**call)
    except CustomerIOException as error:
        report(error)
outcome()

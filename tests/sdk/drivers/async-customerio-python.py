import asyncio

from async_customerio import AsyncCustomerIO
from async_customerio.errors import BaseAsyncCustomerIOError

from driver import calls, key, outcome, url


class CustomerIO(AsyncCustomerIO):
    # it builds https:// itself; `host` alone does for a server with TLS
    setup_base_url = staticmethod(lambda host, port, prefix: f"{host}/{prefix.strip('/')}")


async def send(client, method, **call):
    if method == "metric":
        await client.report_metric(**call)
    elif method == "push":
        await client.report_push_metric(**call)
    elif method == "unsubscribe":
        await client.unsubscribe(**call)
    elif method == "identify":
        await client.identify(call["id"], **call["attributes"])
    elif method == "event":
        await client.backfill(call["id"], call["name"], call["timestamp"])
    elif method == "device":
        await client.add_device(call["id"], call["device_id"], call["platform"], last_used=call["timestamp"])
    elif method == "batch":
        await client.v2.send_batch(call["operations"])


async def main():
    site_id, api_key = key.split(":")
    errors = []
    async with CustomerIO(site_id, api_key, host=url) as client:
        for call in calls:
            try:
                await send(client, **call)
            except BaseAsyncCustomerIOError as error:
                errors.append(error)
    outcome(errors)


asyncio.run(main())

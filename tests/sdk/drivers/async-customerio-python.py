import asyncio

import async_customerio
from async_customerio.errors import BaseAsyncCustomerIOError

from driver import calls, key, outcome, report, url


class AsyncCustomerIO(async_customerio.AsyncCustomerIO):
    @staticmethod
    def setup_base_url(host, port, prefix):
        # it speaks https only, to whatever host
        base_url = async_customerio.AsyncCustomerIO.setup_base_url(host, port, prefix)
        return base_url.replace("https:", "http:")


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
    async with AsyncCustomerIO(site_id, api_key, host=url) as client:
        for call in calls:
            try:
                await send(client, **call)
            except BaseAsyncCustomerIOError as error:
                report(error)
    outcome()


asyncio.run(main())

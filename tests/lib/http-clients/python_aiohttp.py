# Python's aiohttp (package python3-aiohttp).
import asyncio
import sys

import aiohttp


async def main(url, channel):
    print("version aiohttp", aiohttp.__version__)
    async with aiohttp.ClientSession() as session:
        async with session.post(url + "/v1/publish", params={"channel": channel}, json={"n": 1}) as answer:
            print("published", await answer.text())
        async with session.get(url + "/v1/subscribe", params={"channel": channel, "last": 1, "wait": 0}) as answer:
            print("polled", await answer.text())
        accept = {"Accept": "application/x-ndjson"}
        async with session.get(url + "/v1/subscribe", params={"channel": channel, "last": 1}, headers=accept) as stream:
            async for line in stream.content:
                if b'"data"' in line:
                    print("streamed", line.decode().strip())
                    break


asyncio.run(main(*sys.argv[1:]))

# A client by Python's websockets (package python3-websockets) that keeps a window of 4 KiB and compresses what it sends:
# subscribes to a channel, publishes to it, and compares.
import asyncio
import json
import sys

import websockets
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory


async def main(url, channel):
    extensions = [ClientPerMessageDeflateFactory(server_max_window_bits=12, client_max_window_bits=12)]
    async with websockets.connect(url, subprotocols=["fantail.v1"], extensions=extensions, compression=None) as socket:
        # Where it was up to version 13, and where it is since.
        headers = socket.response_headers if hasattr(socket, "response_headers") else socket.response.headers
        print("agreed:", headers.get("Sec-WebSocket-Extensions"))
        await socket.send(json.dumps({"ref": 1, "op": "subscribe", "channel": channel}))
        assert json.loads(await socket.recv())["ok"]
        sent = [{"text": "a" * 1000}, {"text": "b"}, [{"id": i, "name": "user %d" % i} for i in range(1500)]]
        for data in sent:
            await socket.send(json.dumps({"op": "publish", "channel": channel, "data": data}))
        got = []
        while len(got) < len(sent):
            frame = json.loads(await asyncio.wait_for(socket.recv(), 10))
            if "data" in frame:
                got.append(frame["data"])
        print("same:", sum(a == b for a, b in zip(sent, got)), "of", len(sent))


asyncio.run(main(*sys.argv[1:]))

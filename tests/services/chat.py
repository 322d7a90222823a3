"""A WebSocket chat as its own project would have it: it knows nothing of the gateway but one header.

`chat.py [CERTIFICATE KEY]` prints `ready PORT` and serves until its standard input ends.
"""

import asyncio
import ssl
import sys

from websockets.asyncio.server import broadcast, serve
from websockets.exceptions import ConnectionClosed

ROOM = set()


async def visit(socket):
    name = socket.request.headers.get("X-Auth-User", "nobody")
    ROOM.add(socket)
    try:
        await socket.send(f"welcome {name}")
        async for message in socket:
            if isinstance(message, bytes):
                await socket.send(message)
            else:
                broadcast(ROOM, f"{name}: {message}")
    except ConnectionClosed:
        pass
    finally:
        ROOM.discard(socket)


def choose(socket, offered):
    return "chat" if "chat" in offered else None


async def main():
    context = None
    if len(sys.argv) > 1:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*sys.argv[1:])
        # As a server that would rather speak HTTP/2, but knows no WebSockets there.
        context.set_alpn_protocols(["http/1.1"])
    async with serve(visit, "127.0.0.1", 0, ssl=context, max_size=2**26, select_subprotocol=choose) as server:
        print("ready", server.sockets[0].getsockname()[1], flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


asyncio.run(main())

"""What an application does with a WebSocket, and what it sees."""

import asyncio
import base64
import json
import os
import pathlib
import sys
import time
import urllib.request

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

address, policy = sys.argv[1], pathlib.Path(sys.argv[2])


def check(what, seen, expected):
    if seen != expected:
        sys.exit(f"EXPECTED OTHERWISE: {what}: {seen!r}, not {expected!r}")
    print(f"{what}: {seen!r}")


def token():
    basic = base64.b64encode(f"app:{os.environ['APP_SECRET']}".encode()).decode()
    request = urllib.request.Request(f"http://{address}/api/oauth/token", b"grant_type=client_credentials", {"authorization": f"Basic {basic}"})
    return json.load(urllib.request.urlopen(request))["access_token"]


async def refused(path, **more):
    """The status of a handshake that is refused."""
    try:
        async with connect(f"ws://{address}{path}", **more):
            return 101
    except InvalidStatus as error:
        return error.response.status_code


async def until_there():
    for _ in range(400):
        if await refused("/open/chat") == 101:
            return
        await asyncio.sleep(0.05)
    sys.exit("EXPECTED OTHERWISE: the server is there")


async def main():
    await until_there()
    async with connect(f"ws://{address}/open/chat", subprotocols=["chat.v2", "chat.v1"], max_size=None) as socket:
        check("the protocol that both know", socket.subprotocol, "chat.v1")
        await socket.send("hello")
        check("a message comes back", await socket.recv(), "hello")
        large = os.urandom(5_000_000)
        await socket.send(large)
        check("a large one too", await socket.recv() == large, True)
        await asyncio.wait_for(await socket.ping(), 10)
        print("a ping is answered")
        # The policy of new connections is another one from here on; this connection is none of it.
        policy.write_text('route = "GET /open/{*rest}"\n[[filter]]\nuse    = "respond"\nstatus = 410\n')
        deadline = time.monotonic() + 20
        while await refused("/open/chat") != 410:
            assert time.monotonic() < deadline, "the reload is taken"
            await asyncio.sleep(0.05)
        await socket.send("still here")
        check("over a reload it stays", await socket.recv(), "still here")
        await socket.send("close")
        try:
            await socket.recv()
        except ConnectionClosed as closed:
            check("how it closes", (closed.rcvd.code, closed.rcvd.reason), (4001, "as asked"))

    check("without a token", await refused("/secret/chat"), 401)
    headers = {"authorization": f"Bearer {token()}"}
    async with connect(f"ws://{address}/secret/chat", additional_headers=headers) as socket:
        await socket.send("let in")
        check("with one", await socket.recv(), "let in")
    async with connect(f"ws://{address}/short/chat") as socket:
        try:
            await asyncio.wait_for(socket.recv(), 20)
        except ConnectionClosed as closed:
            check("a time that is over ends it", closed.rcvd, None)
    many = [await connect(f"ws://{address}/secret/chat", additional_headers=headers) for _ in range(200)]
    await asyncio.gather(*(socket.send(str(number)) for number, socket in enumerate(many)))
    check("many at once", [await socket.recv() for socket in many] == [str(number) for number in range(200)], True)
    await asyncio.gather(*(socket.close() for socket in many))


asyncio.run(main())

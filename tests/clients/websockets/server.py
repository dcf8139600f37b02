"""Says what it hears; `close` closes with a code of its own."""

import asyncio
import sys

from websockets.asyncio.server import serve


async def echo(connection):
    async for message in connection:
        if message == "close":
            await connection.close(4001, "as asked")
            return
        await connection.send(message)


def select(_connection, offered):
    return "chat.v1" if "chat.v1" in offered else None


async def main():
    async with serve(echo, "127.0.0.1", int(sys.argv[1]), max_size=None, select_subprotocol=select) as server:
        await server.serve_forever()


asyncio.run(main())

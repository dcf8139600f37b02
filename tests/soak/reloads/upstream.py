"""Two targets that answer who they are, and one with WebSockets (which says what it hears) and event streams (which count)."""

import asyncio

from websockets.asyncio.server import serve


async def read_head(reader):
    return await reader.readuntil(b"\r\n\r\n")


def target(name):
    async def answer(reader, writer):
        try:
            while await read_head(reader):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + name)
        except (OSError, EOFError):
            writer.close()

    return answer


async def events(reader, writer):
    try:
        await read_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        number = 0
        while True:
            writer.write(b"data: %d\n\n" % number)
            await writer.drain()
            number += 1
            await asyncio.sleep(0.05)
    except (OSError, EOFError):
        writer.close()


async def echo(connection):
    async for message in connection:
        await connection.send(message)


async def main():
    one, two = [await asyncio.start_server(target(name), "127.0.0.1", 0, backlog=1024) for name in (b"1", b"2")]
    streams = await asyncio.start_server(events, "127.0.0.1", 0)
    async with serve(echo, "127.0.0.1", 0) as chat:
        ports = [server.sockets[0].getsockname()[1] for server in (one, two, chat, streams)]
        print(ports[0], ports[1], f"{ports[2]},{ports[3]}", "end", flush=True)
        await asyncio.Event().wait()


asyncio.run(main())

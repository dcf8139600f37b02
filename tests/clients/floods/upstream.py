"""Answers little, without end, or never: `/up/small`, `/up/endless`, `/up/deaf` (which reads no body either)."""

import socket
import sys
import threading
import time

PIECE = b"10000\r\n" + b"x" * 65536 + b"\r\n"


def serve(connection):
    with connection, connection.makefile("rb") as reader:
        while request := reader.readline():
            while reader.readline() not in (b"\r\n", b""):
                pass
            if b"/deaf" in request:
                time.sleep(60)
                return
            if b"/endless" in request:
                connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                while True:
                    connection.sendall(PIECE)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nsmall")


def quietly(connection):
    """The gateway goes away in the middle where its client did."""
    try:
        serve(connection)
    except OSError:
        pass


listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=1024)
while True:
    threading.Thread(target=quietly, args=(listener.accept()[0],), daemon=True).start()

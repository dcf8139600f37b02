"""Each request on a connection of its own, and what the upstream read."""

import socket
import sys
import threading

import h2.config
import h2.connection
import h2.events
import h2.exceptions

port, upstream = int(sys.argv[1]), int(sys.argv[2])
heads = []


def upstream_connection(connection):
    """Reads requests as HTTP/1.1 says, strictly, and notes each head."""
    with connection, connection.makefile("rb") as reader:
        while True:
            head = []
            while (line := reader.readline()) not in (b"\r\n", b""):
                head.append(line.rstrip(b"\r\n").decode("latin-1"))
            if not head:
                return
            heads.append(head)
            fields = dict(line.lower().split(": ", 1) for line in head[1:])
            body = b""
            if "transfer-encoding" in fields:
                while (size := int(reader.readline(), 16)) > 0:
                    body += reader.read(size)
                    reader.readline()
                while (line := reader.readline()) not in (b"\r\n", b""):
                    head.append("trailer " + line.rstrip(b"\r\n").decode("latin-1"))
            elif "content-length" in fields:
                body = reader.read(int(fields["content-length"]))
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


def quietly(connection):
    """The gateway may go away in the middle of a request."""
    try:
        upstream_connection(connection)
    except OSError:
        pass


def serve():
    listener = socket.create_server(("127.0.0.1", upstream))
    while True:
        threading.Thread(target=quietly, args=(listener.accept()[0],), daemon=True).start()


def send(headers, body=b"", trailers=None):
    """The status of the answer, or how the stream or the connection ended."""
    config = h2.config.H2Configuration(client_side=True, validate_outbound_headers=False, normalize_outbound_headers=False)
    connection = h2.connection.H2Connection(config)
    with socket.create_connection(("127.0.0.1", port), 20) as wire:
        connection.initiate_connection()
        connection.send_headers(1, headers, end_stream=not body and not trailers)
        if body:
            connection.send_data(1, body, end_stream=not trailers)
        if trailers:
            connection.send_headers(1, trailers, end_stream=True)
        wire.sendall(connection.data_to_send())
        while True:
            try:
                data = wire.recv(65536)
            except ConnectionResetError:
                return "closed"
            if not data:
                return "closed"
            for event in connection.receive_data(data):
                match event:
                    case h2.events.ResponseReceived():
                        return dict(event.headers)[b":status"].decode()
                    case h2.events.StreamReset():
                        return "reset"
                    case h2.events.ConnectionTerminated():
                        return "closed"
            wire.sendall(connection.data_to_send())


def request(method="POST", path="/up/1", more=(), authority="a.example"):
    return [(":method", method), (":scheme", "http"), (":authority", authority), (":path", path), *more]


hidden = b"GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n"
length = str(len(hidden))
CASES = {
    "a length that is too long": (request(more=[("content-length", "99")]), b"abc"),
    "a length that is too short": (request(more=[("content-length", "3")]), b"abc" + hidden),
    "a length of nothing before a body": (request(more=[("content-length", "0")]), hidden),
    "two lengths": (request(more=[("content-length", "0"), ("content-length", length)]), hidden),
    "two lengths in one": (request(more=[("content-length", f"0, {length}")]), hidden),
    "a length that is no number": (request(more=[("content-length", "+3")]), b"abc"),
    "a coding": (request(more=[("transfer-encoding", "chunked")]), b"0\r\n\r\n" + hidden),
    "a coding and a length": (request(more=[("transfer-encoding", "chunked"), ("content-length", length)]), hidden),
    "a line end in a value": (request(more=[("x-a", "b\r\nsmuggled: 1")]), b""),
    "half a line end in a value": (request(more=[("x-a", "b\nsmuggled: 1")]), b""),
    "a whole request in a value": (request(more=[("x-a", "b\r\n\r\n" + hidden.decode())]), b""),
    "a zero in a value": (request(more=[("x-a", "b\0smuggled")]), b""),
    "a line end in a name": (request(more=[("x-a: b\r\nsmuggled", "1")]), b""),
    "a colon in a name": (request(more=[("smuggled: 1", "2")]), b""),
    "capitals in a name": (request(more=[("Smuggled", "1")]), b""),
    "a line end in the path": (request(path="/up/1 HTTP/1.1\r\nsmuggled: 1\r\n\r\n"), b""),
    "a space in the path": (request(path="/up/1 HTTP/1.1 smuggled"), b""),
    "a line end in the method": (request(method="GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\nGET"), b""),
    "a line end in the host": (request(authority="a.example\r\nsmuggled: 1"), b""),
    "another host": (request(more=[("host", "smuggled.example")]), b""),
    "a field of a connection": (request(more=[("connection", "x-a"), ("x-a", "smuggled")]), b""),
    "an upgrade": (request(more=[("upgrade", "smuggled")]), b""),
    "another coding in te": (request(more=[("te", "smuggled, trailers")]), b""),
    "a pseudo field twice": (request(more=[(":path", "/smuggled")]), b""),
    "a pseudo field that there is not": (request(more=[(":smuggled", "1")]), b""),
    "trailers that frame": (request(more=[("trailer", "content-length, transfer-encoding, host")]), b"abc", [("content-length", "99"), ("host", "smuggled")]),
    "trailers with a line end": (request(more=[("trailer", "x-a")]), b"abc", [("x-a", "b\r\nsmuggled: 1")]),
    "trailers with a pseudo field": (request(more=[("trailer", "x-a")]), b"abc", [(":path", "/smuggled")]),
    "trailers that nobody announced": (request(), b"abc", [("smuggled", "1")]),
}

threading.Thread(target=serve, daemon=True).start()
for what, case in CASES.items():
    ended = send(*case)
    print(f"{what}: {ended}")
    if ended not in ("200", "closed", "reset") and not ended.startswith("4"):
        sys.exit(f"EXPECTED OTHERWISE: {what}: {ended}")
    if send(request(more=[("content-length", "2")]), b"ok") != "200":
        sys.exit(f"EXPECTED OTHERWISE: after {what} others are served")
good = send(request(more=[("trailer", "x-sum"), ("te", "trailers")]), b"abc", [("x-sum", "7")])
if good != "200" or "trailer x-sum: 7" not in heads[-1]:
    sys.exit(f"EXPECTED OTHERWISE: what is as it should be goes: {good} {heads[-1]}")
for head in heads:
    if any("smuggled" in line.lower() for line in head) or not head[0].startswith("POST /up/1 HTTP/1.1"):
        sys.exit(f"EXPECTED OTHERWISE: the upstream read {head}")
print(f"{len(heads)} requests reached the upstream, none with anything in it")

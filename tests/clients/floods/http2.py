"""Floods and lies over HTTP/2 (RFC 9113, section 10.5)."""

import socket
import sys
import time

from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from cases import Cases
from frames import DEADLINE, Connection

port = int(sys.argv[1])
cases = Cases(port, int(sys.argv[2]))

# What a frame costs who sends it is nothing: many of them in one write.
MANY = 1000
TIMES = 200
FLOOD = ("ENHANCE_YOUR_CALM",)


def many(frame, count=MANY):
    return frame.serialize() * count


def case(*expected):
    return lambda run: cases.run(run, expected)


def data(stream, payload=b"", end=False):
    frame = DataFrame(stream, payload)
    if end:
        frame.flags.add("END_STREAM")
    return frame


def finish(head):
    head.flags.add("END_HEADERS")
    head.flags.add("END_STREAM")


def settings(**values):
    return SettingsFrame(0, {getattr(SettingsFrame, name.upper()): value for name, value in values.items()})


def acknowledged():
    frame = SettingsFrame(0)
    frame.flags.add("ACK")
    return frame


def flooded(connection, frames, served):
    """Floods it, and says how it ended. One on which nothing is open is idle, whatever else comes."""
    connection.flood(frames, TIMES)
    served()
    return connection.ending()


@case("NO_ERROR", "closed", *FLOOD)
def _(served):
    """settings, over and over"""
    with Connection(port) as connection:
        return flooded(connection, many(settings(max_concurrent_streams=1)), served)


@case("NO_ERROR", "closed", *FLOOD)
def _(served):
    """settings, of a client that reads no acknowledgement"""
    with Connection(port, reads=False) as connection:
        connection.wire.settimeout(5)
        connection.flood(many(settings(max_concurrent_streams=1)), TIMES)
        served()
        connection.drain()
        return connection.ending()


@case("NO_ERROR", "closed", *FLOOD)
def _(served):
    """pings, over and over"""
    with Connection(port) as connection:
        return flooded(connection, many(PingFrame(0, b"12345678")), served)


@case("NO_ERROR", "closed", *FLOOD)
def _(served):
    """pings, of a client that reads no answer"""
    with Connection(port, reads=False) as connection:
        connection.wire.settimeout(5)
        connection.flood(many(PingFrame(0, b"12345678")), TIMES)
        served()
        connection.drain()
        return connection.ending()


@case("NO_ERROR", "closed", *FLOOD)
def _(served):
    """priorities of streams that there are not"""
    with Connection(port) as connection:
        frames = lambda number: b"".join(PriorityFrame(2 * (number * MANY + i) + 1, stream_weight=16).serialize() for i in range(MANY))
        return flooded(connection, frames, served)


@case("NO_ERROR", "closed", *FLOOD)
def _(served):
    """frames of a type that there is not"""
    with Connection(port) as connection:
        return flooded(connection, b"\0\0\x08\xee\0\0\0\0\0abcdefgh" * MANY, served)


@case(*FLOOD)
def _(served):
    """empty data, for a request that is read"""
    with Connection(port) as connection:
        connection.send(connection.head(1, "/read", "POST", end=False))
        return flooded(connection, many(data(1)), served)


@case(*FLOOD)
def _(served):
    """empty data, for a request that nobody reads"""
    with Connection(port) as connection:
        connection.send(connection.head(1, "/up/deaf", "POST", end=False))
        return flooded(connection, many(data(1)), served)


@case(*FLOOD)
def _(served):
    """data of one byte, for a request that nobody reads"""
    with Connection(port) as connection:
        connection.send(connection.head(1, "/up/deaf", "POST", end=False))
        return flooded(connection, many(data(1, b"x")), served)


@case("FLOW_CONTROL_ERROR")
def _(served):
    """data beyond the window"""
    with Connection(port) as connection:
        connection.send(connection.head(1, "/up/deaf", "POST", end=False))
        return flooded(connection, many(data(1, b"x" * 16384), 100), served)


@case(*FLOOD)
def _(served):
    """a head that goes on and on, of fields that mean something"""
    with Connection(port) as connection:
        connection.send(HeadersFrame(1, b"\x82\x86\x84"))
        field = b"\x10\x03x-a" + b"\x7f\x81\x07" + b"x" * 1024
        return flooded(connection, ContinuationFrame(1, field * 15).serialize() * 10, served)


@case(*FLOOD)
def _(served):
    """a head that goes on and on, of nothing"""
    with Connection(port) as connection:
        connection.send(HeadersFrame(1, b"\x82"))
        return flooded(connection, many(ContinuationFrame(1, b"")), served)


@case("NO_ERROR", "closed")
def _(served):
    """a head that stops in its middle"""
    with Connection(port) as connection:
        connection.send(HeadersFrame(1, b"\x82"))
        served()
        return connection.ending()


def rapid(make):
    """Streams that are reset as soon as they are there."""
    with Connection(port) as connection:

        def frames(number):
            return b"".join(make(connection, 2 * (number * 100 + i) + 1) for i in range(100))

        connection.flood(frames, 1000)
        return connection.ending()


@case(*FLOOD)
def _(served):
    """streams that the client resets at once"""
    return rapid(lambda connection, stream: connection.head(stream, "/up/deaf").serialize() + RstStreamFrame(stream, error_code=8).serialize())


@case("PROTOCOL_ERROR")
def _(served):
    """streams that the client has us reset, by a window that grows by nothing"""
    return rapid(
        lambda connection, stream: connection.head(stream, "/up/deaf").serialize() + WindowUpdateFrame(stream, window_increment=1).serialize()[:-4] + b"\0" * 4
    )


@case(*FLOOD)
def _(served):
    """streams that the client has us reset, by a window that grows too large"""
    return rapid(lambda connection, stream: connection.head(stream, "/up/deaf").serialize() + WindowUpdateFrame(stream, window_increment=2**31 - 1).serialize())


@case(*FLOOD)
def _(served):
    """streams that the client has us reset, by a request that is none"""
    bad = HeadersFrame(1, b"\x82")

    def make(connection, stream):
        bad.stream_id = stream
        finish(bad)
        return bad.serialize()

    return rapid(make)


@case("PROTOCOL_ERROR")
def _(served):
    """a connection's window that grows by nothing"""
    with Connection(port) as connection:
        connection.send(WindowUpdateFrame(0, window_increment=1).serialize()[:-4] + b"\0" * 4)
        return connection.ending()


@case("FLOW_CONTROL_ERROR")
def _(served):
    """a connection's window that grows too large"""
    with Connection(port) as connection:
        connection.send(WindowUpdateFrame(0, window_increment=2**31 - 1))
        return connection.ending()


@case("FLOW_CONTROL_ERROR", "PROTOCOL_ERROR")
def _(served):
    """a window of all streams that is too large"""
    with Connection(port) as connection:
        connection.send(settings(initial_window_size=0).serialize()[:-4] + b"\xff" * 4)
        return connection.ending()


@case("CANCEL")
def _(served):
    """a hundred answers without end, whose windows nobody opens"""
    with Connection(port, {SettingsFrame.INITIAL_WINDOW_SIZE: 0}) as connection:
        streams = range(1, 200, 2)
        for stream in streams:
            connection.send(connection.head(stream, "/up/endless"))
        served()
        # Given up after `write_timeout`, each.
        connection.wait(lambda: all(stream in connection.resets for stream in streams) or connection.closed)
        ends = {connection.resets.get(stream, "open") for stream in streams}
        return ends.pop() if len(ends) == 1 else str(ends)


@case("CANCEL")
def _(served):
    """a hundred answers without end, on a connection whose window nobody opens"""
    with Connection(port, {SettingsFrame.INITIAL_WINDOW_SIZE: 2**31 - 1}) as connection:
        streams = range(1, 200, 2)
        for stream in streams:
            connection.send(connection.head(stream, "/up/endless"))
        served()
        connection.wait(lambda: all(stream in connection.resets for stream in streams) or connection.closed)
        ends = {connection.resets.get(stream, "open") for stream in streams}
        return ends.pop() if len(ends) == 1 else str(ends)


@case("closed")
def _(served):
    """a hundred answers without end, of a client that reads nothing from its socket"""
    with Connection(port, {SettingsFrame.INITIAL_WINDOW_SIZE: 2**31 - 1}, reads=False) as connection:
        connection.send(WindowUpdateFrame(0, window_increment=2**31 - 65536))
        for stream in range(1, 200, 2):
            connection.send(connection.head(stream, "/up/endless"))
        served()
        # Whoever writes to a connection that was given up is told so.
        until = time.monotonic() + DEADLINE
        while connection.flood(many(PingFrame(0, b"12345678"), 1), 1)[1] == "taken" and time.monotonic() < until:
            time.sleep(0.1)
        return connection.flood(many(PingFrame(0, b"12345678"), 1), 1)[1]


@case("431")
def _(served):
    """a head that is larger than the limit"""
    with Connection(port) as connection:
        connection.send(connection.head(1, more=[(f"x-{i}", "x" * 1000) for i in range(14)]))
        fine = connection.answer(1)
        if fine != "200":
            return f"{fine} for what is smaller than it"
        head = HeadersFrame(3, connection.encoder.encode([(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/ok")]))
        rest = connection.encoder.encode([(f"x-y{i}", "y" * 1000) for i in range(40)])
        pieces = [ContinuationFrame(3, rest[at : at + 16384]) for at in range(0, len(rest), 16384)]
        head.flags.add("END_STREAM")
        pieces[-1].flags.add("END_HEADERS")
        connection.send(head, *pieces)
        return connection.answer(3)


@case("431", *FLOOD)
def _(served):
    """a head of a few bytes that unpacks to many (an HPACK bomb)"""
    with Connection(port) as connection:
        # One field of 4,000 bytes goes into the table; each byte after it is that field once more.
        table = b"\x40\x03x-a" + b"\x7f\xa1\x1e" + b"x" * 4000
        head = HeadersFrame(1, b"\x82\x86\x84\x41\x01a" + table + b"\xbe" * 10000)
        finish(head)
        connection.send(head)
        served()
        return connection.answer(1)


@case("COMPRESSION_ERROR", "PROTOCOL_ERROR")
def _(served):
    """a head whose table is larger than it may be"""
    with Connection(port) as connection:
        head = HeadersFrame(1, b"\x3f\xe1\xff\xff\x07\x82\x86\x84\x41\x01a")
        finish(head)
        connection.send(head)
        return connection.ending()


@case("COMPRESSION_ERROR", "PROTOCOL_ERROR")
def _(served):
    """a head that names what is not in the table"""
    with Connection(port) as connection:
        head = HeadersFrame(1, b"\x82\x86\x84\xff\xff\xff\xff\x0f")
        finish(head)
        connection.send(head)
        return connection.ending()


@case("REFUSED_STREAM")
def _(served):
    """more streams than the limit"""
    with Connection(port) as connection:
        connection.send(acknowledged())
        for stream in range(1, 202, 2):
            connection.send(connection.head(stream, "/up/deaf"))
        last = connection.answer(201)
        others = [stream for stream in range(1, 200, 2) if stream in connection.resets or stream in connection.statuses]
        return last if not others else f"{len(others)} of the first hundred ended too"


@case(*FLOOD)
def _(served):
    """more streams than the limit, over and over"""
    with Connection(port) as connection:
        connection.send(acknowledged())
        connection.flood(lambda number: b"".join(connection.head(2 * (number * 100 + i) + 1, "/up/deaf").serialize() for i in range(100)), 1000)
        return connection.ending()


@case("STREAM_CLOSED", "PROTOCOL_ERROR")
def _(served):
    """data behind the end of a request"""
    with Connection(port) as connection:
        connection.send(connection.head(1, "/up/deaf"), data(1, b"x"))
        return connection.answer(1)


@case("STREAM_CLOSED", "PROTOCOL_ERROR")
def _(served):
    """a stream that was used before"""
    with Connection(port) as connection:
        connection.send(connection.head(3))
        connection.answer(3)
        connection.send(connection.head(1))
        return connection.ending()


@case("PROTOCOL_ERROR")
def _(served):
    """a stream of the server's"""
    with Connection(port) as connection:
        connection.send(connection.head(2))
        return connection.ending()


@case("FRAME_SIZE_ERROR")
def _(served):
    """a frame that is larger than it may be"""
    with Connection(port) as connection:
        connection.send(connection.head(1, "/read", "POST", end=False), data(1, b"x" * 20000))
        return connection.ending()


@case("PROTOCOL_ERROR")
def _(served):
    """padding that is longer than its frame"""
    with Connection(port) as connection:
        connection.send(connection.head(1, "/read", "POST", end=False), b"\0\0\x02\x00\x08\0\0\0\x01\xffx")
        return connection.ending()


@case("400", "408")
def _(served):
    """a body that stops"""
    with Connection(port) as connection:
        connection.send(connection.head(1, "/read", "POST", end=False), data(1, b"x"))
        served()
        return connection.answer(1)


@case("closed", "NO_ERROR")
def _(served):
    """a client that closes its half in the middle of a body"""
    with Connection(port) as connection:
        connection.send(connection.head(1, "/up/deaf", "POST", end=False), data(1, b"x"))
        connection.wire.shutdown(socket.SHUT_WR)
        return connection.ending()


@case("closed", "NO_ERROR")
def _(served):
    """two hundred connections that say their greeting, and nothing more"""
    connections = [Connection(port) for _ in range(200)]
    served()
    ends = {connection.ending() for connection in connections}
    for connection in connections:
        connection.close()
    return ends.pop() if len(ends) == 1 else str(ends)


cases.end()

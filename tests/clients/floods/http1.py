"""Floods and lies over HTTP/1.1."""

import socket
import sys
import time

from cases import Cases
from frames import DEADLINE

port = int(sys.argv[1])
cases = Cases(port, int(sys.argv[2]))


def case(*expected):
    return lambda run: cases.run(run, expected)


def connect():
    return socket.create_connection(("127.0.0.1", port), DEADLINE)


def statuses(wire):
    """The statuses of all answers, until the connection closes."""
    seen = b""
    try:
        while got := wire.recv(65536):
            seen += got
    except TimeoutError:
        return "open"
    except OSError:
        pass
    return " ".join(answer.split()[0].decode() for answer in seen.split(b"HTTP/1.1 ")[1:]) or "closed"


def chunked(body, path=b"/read"):
    with connect() as wire:
        wire.sendall(b"POST " + path + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            for piece in body:
                wire.sendall(piece)
        except OSError:
            pass
        return statuses(wire)


@case("closed")
def _(served):
    """a pipeline of requests whose answers nobody reads"""
    with connect() as wire:
        asked = b"GET /ok HTTP/1.1\r\nHost: a\r\n\r\n" * 1000
        until, gone = time.monotonic() + DEADLINE, False
        wire.settimeout(0.5)
        while not gone and time.monotonic() < until:
            try:
                wire.sendall(asked)
            except TimeoutError:
                served()
            except OSError:
                gone = True
        return "closed" if gone else "open"


@case("1000")
def _(served):
    """a pipeline of a thousand requests that is read"""
    with connect() as wire:
        asked = b"GET /ok HTTP/1.1\r\nHost: a\r\n\r\n" * 999 + b"GET /ok HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        wire.sendall(asked)
        return str(statuses(wire).split().count("200"))


@case("closed")
def _(served):
    """an answer without end that nobody reads"""
    with connect() as wire:
        wire.sendall(b"GET /up/endless HTTP/1.1\r\nHost: a\r\n\r\n")
        served()
        until = time.monotonic() + DEADLINE
        while time.monotonic() < until:
            time.sleep(0.1)
            try:
                wire.sendall(b"x")
            except OSError:
                return "closed"
        return "open"


@case("400", "closed")
def _(served):
    """a chunk whose size is more than there is"""
    return chunked([b"ffffffffffffffffff\r\n"])


@case("413")
def _(served):
    """a chunk whose size is the largest that there is"""
    return chunked([b"ffffffffffffffff\r\n", *[b"x" * 65536] * 32])


@case("400", "closed")
def _(served):
    """a chunk whose size is negative"""
    return chunked([b"-1\r\n"])


@case("400", "closed")
def _(served):
    """a chunk whose size is zeros without end"""
    return chunked([b"0" * 65536] * 200)


@case("200")
def _(served):
    """chunk extensions, a few"""
    return chunked([b"2;a=b;c\r\nok\r\n0\r\n\r\n"])


@case("400", "closed")
def _(served):
    """a chunk extension without end"""
    return chunked([b"2;a=", *[b"x" * 65536] * 200])


@case("400", "closed")
def _(served):
    """a million chunks with an extension each"""
    return chunked([b"1;abcdefgh\r\nx\r\n" * 1000] * 1000)


@case("400", "closed")
def _(served):
    """trailers without end"""
    return chunked([b"0\r\n", *[b"x: " + b"y" * 1000 + b"\r\n"] * 10000])


@case("400", "408")
def _(served):
    """a chunk that stops in its middle"""
    return chunked([b"10\r\nabc"])


@case("400", "408", "closed")
def _(served):
    """a chunk's size that stops in its middle"""
    return chunked([b"1"])


@case("413")
def _(served):
    """chunks of one byte, more than a filter reads"""
    return chunked([b"1\r\nx\r\n" * 1000] * 200)


@case("431", "closed")
def _(served):
    """a head without end"""
    with connect() as wire:
        try:
            wire.sendall(b"GET /ok HTTP/1.1\r\nHost: a\r\n")
            for _ in range(10000):
                wire.sendall(b"x: " + b"y" * 1000 + b"\r\n")
        except OSError:
            pass
        return statuses(wire)


@case("400", "408", "431", "closed")
def _(served):
    """empty lines without end, instead of a request"""
    with connect() as wire:
        until = time.monotonic() + DEADLINE
        try:
            while time.monotonic() < until:
                wire.sendall(b"\r\n" * 4096)
        except OSError:
            pass
        return statuses(wire)


@case("closed", "408")
def _(served):
    """five hundred connections that say nothing"""
    wires = [connect() for _ in range(500)]
    served()
    ends = {statuses(wire) for wire in wires}
    for wire in wires:
        wire.close()
    return ends.pop() if len(ends) == 1 else str(ends)


cases.end()

"""Calls of every kind, and how they end."""

import queue
import sys
import time

import grpc

channel = grpc.insecure_channel(sys.argv[1])
grpc.channel_ready_future(channel).result(timeout=20)


def check(what, seen, expected):
    if seen != expected:
        sys.exit(f"EXPECTED OTHERWISE: {what}: {seen!r}, not {expected!r}")
    print(f"{what}: {seen!r}")


def status(method, request=b"x", **more):
    """The status that a call ends with, and its details."""
    try:
        channel.unary_unary(method)(request, timeout=20, **more)
    except grpc.RpcError as error:
        return error.code().name, error.details(), dict(error.trailing_metadata() or ())
    return "OK", "", {}


# The server may not be up yet.
deadline = time.monotonic() + 60
while status("/demo.Echo/Unary")[0] != "OK":
    if time.monotonic() > deadline:
        sys.exit("EXPECTED OTHERWISE: the server is there")
    time.sleep(0.1)
answer, call = channel.unary_unary("/demo.Echo/Unary").with_call(b"hello" * 100_000, timeout=20)
check("a large message comes back", len(answer), 500_000)
trailers = dict(call.trailing_metadata())
check("what stands at the end", (trailers["x-sum"], trailers["x-via"]), ("500000", "2 portcullis"))

code, details, trailers = status("/demo.Echo/Fail")
check("the service's own failure", (code, details, trailers["x-hint"]), ("FAILED_PRECONDITION", "not today: ä", "later"))
check("a method that there is not", status("/demo.Echo/Nothing")[0], "UNIMPLEMENTED")

counted = channel.unary_stream("/demo.Echo/Count")(b"1000", timeout=20)
check("a stream of answers", sum(1 for _ in counted), 1000)
check("a stream of requests", channel.stream_unary("/demo.Echo/Total")(iter([b"abc"] * 1000), timeout=20), b"3000")

said = queue.Queue()
chat = channel.stream_stream("/demo.Echo/Chat")(iter(said.get, None), timeout=20)
for word in (b"one", b"two", b"three"):
    said.put(word)
    check("an answer before the next request", next(chat), word.upper())
said.put(None)
check("the end of both", list(chat), [])

hanging = channel.unary_stream("/demo.Echo/Hang")(b"", timeout=20)
check("a call begins", next(hanging), b"begun")
hanging.cancel()
check("a call that is cancelled is cancelled at the server", channel.unary_unary("/demo.Echo/WasCancelled")(b"", timeout=20), b"yes")

code, details, trailers = status("/demo.Secret/Unary")
check("without a token", (code, details), ("UNAUTHENTICATED", "Unauthorized"))
check("the challenge goes along", "www-authenticate" in trailers, True)
check("no route", status("/demo.Else/Unary")[0], "UNIMPLEMENTED")
check("an upstream that is not there", status("/demo.Nobody/Unary")[0], "UNAVAILABLE")

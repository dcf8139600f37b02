"""A gRPC service without generated code: messages are bytes."""

import sys
import threading
from concurrent import futures

import grpc

cancelled = threading.Event()


def unary(request, context):
    seen = dict(context.invocation_metadata())
    context.set_trailing_metadata((("x-sum", str(len(request))), ("x-via", seen.get("via", "none"))))
    return request


def fail(request, context):
    context.set_trailing_metadata((("x-hint", "later"),))
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not today: ä")


def count(request, context):
    for number in range(int(request)):
        yield str(number).encode()


def total(requests, context):
    return str(sum(len(request) for request in requests)).encode()


def chat(requests, context):
    for request in requests:
        yield request.upper()


def hang(request, context):
    context.add_callback(cancelled.set)
    yield b"begun"
    cancelled.wait(30)


def was_cancelled(request, context):
    return b"yes" if cancelled.wait(10) else b"no"


# Without serializers messages stay bytes.
handlers = {
    "Unary": grpc.unary_unary_rpc_method_handler(unary),
    "Fail": grpc.unary_unary_rpc_method_handler(fail),
    "Count": grpc.unary_stream_rpc_method_handler(count),
    "Total": grpc.stream_unary_rpc_method_handler(total),
    "Chat": grpc.stream_stream_rpc_method_handler(chat),
    "Hang": grpc.unary_stream_rpc_method_handler(hang),
    "WasCancelled": grpc.unary_unary_rpc_method_handler(was_cancelled),
}
server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("demo.Echo", handlers),))
server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
server.start()
server.wait_for_termination()

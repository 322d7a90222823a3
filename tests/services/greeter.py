"""A gRPC service, all four kinds of call, with messages of plain bytes. It knows nothing of the gateway but one field.

`greeter.py [CERTIFICATE KEY]` prints `ready PORT` and serves until its standard input ends.
"""

import sys
import threading
from concurrent import futures
from pathlib import Path

import grpc

GONE = threading.Event()


def who(context):
    fields = dict(context.invocation_metadata())
    return fields.get("x-auth-user", "nobody").encode()


def greet(request, context):
    context.set_trailing_metadata((("x-served", "greeter"), ("x-auth-user", "root"), ("set-cookie", "portcullis=x")))
    return b"hello " + request + b" from " + who(context)


def fail(request, context):
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not today: ä")


def count(request, context):
    for number in range(int(request)):
        yield str(number).encode()


def forever(request, context):
    """One message, and then nothing until the caller has gone."""
    left = threading.Event()
    context.add_callback(left.set)
    yield b"first"
    left.wait(60)


def gone(request, context):
    return b"gone" if GONE.wait(10) else b"there"


def add(requests, context):
    return str(sum(len(request) for request in requests)).encode()


def echo(requests, context):
    for request in requests:
        yield request


def sleep(request, context):
    left = context.time_remaining()
    context.add_callback(GONE.set)
    GONE.wait(30)
    return f"had {left}".encode()


METHODS = {
    "Greet": grpc.unary_unary_rpc_method_handler(greet),
    "Fail": grpc.unary_unary_rpc_method_handler(fail),
    "Sleep": grpc.unary_unary_rpc_method_handler(sleep),
    "Gone": grpc.unary_unary_rpc_method_handler(gone),
    "Count": grpc.unary_stream_rpc_method_handler(count),
    "Forever": grpc.unary_stream_rpc_method_handler(forever),
    "Add": grpc.stream_unary_rpc_method_handler(add),
    "Echo": grpc.stream_stream_rpc_method_handler(echo),
}

server = grpc.server(futures.ThreadPoolExecutor(16))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Greeter", METHODS),))
if len(sys.argv) > 1:
    chain, key = (Path(name).read_bytes() for name in sys.argv[1:])
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, chain)]))
else:
    port = server.add_insecure_port("127.0.0.1:0")
server.start()
print("ready", port, flush=True)
sys.stdin.read()
server.stop(0)

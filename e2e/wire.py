"""Flight without pyarrow's help: exact status codes, and messages that no decent client would send.

pyarrow turns status codes into Python exceptions, several codes into one. Here the calls are made with grpcio, and the few
messages needed are encoded by hand, so that they can also be wrong.
"""

import grpc

SERVICE = "/arrow.flight.protocol.FlightService/"
UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def field(number, payload):
    """A length-delimited protobuf field."""
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def varint(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def ticket(content):
    return field(1, content)


def command(content):
    """A FlightDescriptor with a command."""
    return b"\x08\x02" + field(2, content)


def path(*names):
    """A FlightDescriptor with a path."""
    return b"\x08\x01" + b"".join(field(3, n.encode()) for n in names)


def flight_data(header=b"", body=b"", descriptor=None, metadata=b""):
    message = field(1, descriptor) if descriptor is not None else b""
    return message + field(2, header) + (field(3, metadata) if metadata else b"") + field(1000, body)


def channel(address):
    return grpc.insecure_channel(address, options=UNLIMITED)


def call(address, method, *messages, timeout=30):
    """Makes a call with the given raw messages, drops the answer's content; returns (status code, details, messages received)."""
    with channel(address) as c:
        stub = c.stream_stream(SERVICE + method) if "." not in method else c.stream_stream(method)
        responses = stub(iter(messages), timeout=timeout)
        received = []
        try:
            for r in responses:
                received.append(r)
        except grpc.RpcError:
            pass
        return responses.code(), responses.details(), received


def do_get(address, content):
    return call(address, "DoGet", ticket(content))


def flight_messages(ipc_stream):
    """An Arrow IPC stream as the (header, body) pairs of Flight."""
    messages, at = [], 0
    while at + 8 <= len(ipc_stream):
        length = int.from_bytes(ipc_stream[at + 4:at + 8], "little")
        if length == 0:
            break
        header = ipc_stream[at + 8:at + 8 + length]
        at += 8 + length
        size = body_length(header)
        messages.append((header, ipc_stream[at:at + size]))
        at += size
    return messages


def body_length(header):
    """bodyLength of an IPC message's flatbuffer: the fourth field of its table."""
    table = int.from_bytes(header[:4], "little")
    vtable = table - int.from_bytes(header[table:table + 4], "little", signed=True)
    size = int.from_bytes(header[vtable:vtable + 2], "little")
    offset = int.from_bytes(header[vtable + 10:vtable + 12], "little") if size >= 12 else 0
    return int.from_bytes(header[table + offset:table + offset + 8], "little") if offset else 0

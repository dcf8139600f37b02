"""HTTP/2 by hand: a connection on which any frame can be sent at any time, and all that comes back is noted."""

import socket
import threading
import time

import hpack
from hyperframe.frame import (
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    RstStreamFrame,
    SettingsFrame,
)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

# How long anything may take before it counts as hanging. Nothing here waits so long where all is well.
DEADLINE = 20

ERRORS = {
    0: "NO_ERROR", 1: "PROTOCOL_ERROR", 2: "INTERNAL_ERROR", 3: "FLOW_CONTROL_ERROR", 4: "SETTINGS_TIMEOUT", 5: "STREAM_CLOSED",
    6: "FRAME_SIZE_ERROR", 7: "REFUSED_STREAM", 8: "CANCEL", 9: "COMPRESSION_ERROR", 11: "ENHANCE_YOUR_CALM",
}  # fmt: skip


class Connection:
    """A client that obeys nothing by itself: it acknowledges nothing and opens no window."""

    def __init__(self, port, settings=None, reads=True):
        self.wire = socket.create_connection(("127.0.0.1", port), DEADLINE)
        self.wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        # By stream: the status, how it ended, and how much of a body came.
        self.statuses, self.resets, self.bodies, self.ended = {}, {}, {}, set()
        self.goaway, self.closed = None, False
        self.changed = threading.Condition()
        self.wire.sendall(PREFACE + SettingsFrame(0, settings or {}).serialize())
        if reads:
            threading.Thread(target=self.read, daemon=True).start()

    def close(self):
        # Wakes the thread that reads.
        try:
            self.wire.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.wire.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def drain(self):
        """Reads now, where it did not before."""
        self.wire.settimeout(DEADLINE)
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        try:
            with self.wire.makefile("rb") as reader:
                while len(head := reader.read(9)) == 9:
                    frame, length = Frame.parse_frame_header(memoryview(head))
                    frame.parse_body(memoryview(reader.read(length)))
                    with self.changed:
                        self.note(frame)
                        self.changed.notify_all()
        except (OSError, ValueError):
            pass
        with self.changed:
            self.closed = True
            self.changed.notify_all()

    def note(self, frame):
        stream = frame.stream_id
        if isinstance(frame, HeadersFrame):
            self.statuses.setdefault(stream, dict(self.decoder.decode(frame.data)).get(":status"))
        elif isinstance(frame, DataFrame):
            self.bodies[stream] = self.bodies.get(stream, 0) + len(frame.data)
        elif isinstance(frame, RstStreamFrame):
            self.resets[stream] = ERRORS.get(frame.error_code, str(frame.error_code))
        elif isinstance(frame, GoAwayFrame):
            self.goaway = ERRORS.get(frame.error_code, str(frame.error_code))
        if "END_STREAM" in frame.flags:
            self.ended.add(stream)

    def wait(self, what, seconds=DEADLINE):
        """Until that holds; whether it does in time."""
        with self.changed:
            return self.changed.wait_for(what, seconds)

    def send(self, *frames):
        self.wire.sendall(b"".join(frame if isinstance(frame, bytes) else frame.serialize() for frame in frames))

    def head(self, stream, path="/ok", method="GET", end=True, more=()):
        headers = [(":method", method), (":scheme", "http"), (":authority", "a.example"), (":path", path), *more]
        frame = HeadersFrame(stream, self.encoder.encode(headers))
        frame.flags.add("END_HEADERS")
        if end:
            frame.flags.add("END_STREAM")
        return frame

    def flood(self, frames, times, seconds=DEADLINE):
        """Sends that over and over, until nobody takes it any more: how often, and whether the other side ended it."""
        bytes_of = frames if callable(frames) else lambda _, one=frames: one
        until = time.monotonic() + seconds
        for number in range(times):
            try:
                self.wire.sendall(bytes_of(number))
            except TimeoutError:
                return number, "nobody takes it"
            except OSError:
                return number, "closed"
            if self.closed:
                return number, "closed"
            if time.monotonic() > until:
                break
        return number + 1, "taken"

    def ending(self):
        """How the connection ended, once it has."""
        if not self.wait(lambda: self.closed):
            return "open"
        return self.goaway or "closed"

    def answer(self, stream):
        """What became of a stream: its status, else why it was reset, else how the connection ended."""
        self.wait(lambda: stream in self.statuses or stream in self.resets or self.closed)
        return self.statuses.get(stream) or self.resets.get(stream) or self.goaway or ("closed" if self.closed else "nothing")

"""Another client, which asks all the time, over HTTP/1.1 and HTTP/2, and must be answered each time."""

import http.client
import threading
import time

from frames import DEADLINE, Connection

# The node's `idle_timeout`, in seconds: where the machine lets a client rest for so long between the beginning of a request and the end of the
# next one, its connection may be closed, and it opens another.
IDLE = 2


class Bystander:
    def __init__(self, port):
        self.port, self.answered, self.failed, self.stopped = port, {"1.1": 0, "2": 0}, [], False
        self.changed = threading.Condition()
        for ask in (self.ask_one, self.ask_two):
            threading.Thread(target=self.go, args=(ask,), daemon=True).start()

    def go(self, ask):
        try:
            ask()
        except Exception as why:
            with self.changed:
                self.failed.append(repr(why))
                self.changed.notify_all()

    def count(self, version, good):
        with self.changed:
            self.answered[version] += 1
            if not good:
                self.failed.append(f"HTTP/{version}: {good}")
            self.changed.notify_all()

    def ask_one(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        began = time.monotonic()
        while not self.stopped:
            before, began = began, time.monotonic()
            try:
                connection.request("GET", "/ok")
                answer = connection.getresponse()
                good = answer.status == 200 and answer.read() == b"ok"
            except OSError:
                if time.monotonic() - before < IDLE:
                    raise
                connection.close()
                continue
            self.count("1.1", good)

    def ask_two(self):
        began = time.monotonic()
        while not self.stopped:
            with Connection(self.port) as connection:
                for stream in range(1, 200, 2):
                    before, began = began, time.monotonic()
                    try:
                        connection.send(connection.head(stream))
                        good = connection.answer(stream) == "200" and connection.wait(lambda: stream in connection.ended)
                    except OSError:
                        good = False
                    if not good and time.monotonic() - before >= IDLE:
                        break
                    self.count("2", good)

    def served(self, times=3):
        """That it is answered some more times, on both; why not, else nothing."""
        with self.changed:
            wanted = {version: count + times for version, count in self.answered.items()}
            enough = self.changed.wait_for(
                lambda: self.failed or all(self.answered[version] >= count for version, count in wanted.items()), DEADLINE
            )
            return self.failed[:3] or (None if enough else f"it was answered {self.answered}, and then no more")

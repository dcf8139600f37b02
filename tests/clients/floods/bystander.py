"""Another client, which asks all the time, over HTTP/1.1 and HTTP/2, and must be answered each time."""

import http.client
import threading

from frames import DEADLINE, Connection


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
        while not self.stopped:
            connection.request("GET", "/ok")
            answer = connection.getresponse()
            self.count("1.1", answer.status == 200 and answer.read() == b"ok")

    def ask_two(self):
        while not self.stopped:
            with Connection(self.port) as connection:
                for stream in range(1, 200, 2):
                    connection.send(connection.head(stream))
                    answer = connection.answer(stream)
                    self.count("2", answer == "200" and connection.wait(lambda: stream in connection.ended))

    def served(self, times=3):
        """That it is answered some more times, on both; why not, else nothing."""
        with self.changed:
            wanted = {version: count + times for version, count in self.answered.items()}
            enough = self.changed.wait_for(
                lambda: self.failed or all(self.answered[version] >= count for version, count in wanted.items()), DEADLINE
            )
            return self.failed[:3] or (None if enough else f"it was answered {self.answered}, and then no more")

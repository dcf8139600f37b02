"""Ann at Chromium, which runs without a window and is told what to do through its own pipe (--remote-debugging-pipe).

    browser.py CHROMIUM URL PASSWORD        goes to URL, logs in, allows what is asked; prints the headings that she sees"""
import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile

program, url, password = sys.argv[1:]


class Browser:
    def __init__(self, profile):
        from_us, self.to = os.pipe()
        self.of, to_us = os.pipe()
        given = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (from_us, to_us)]
        options = ["--headless=new", "--remote-debugging-pipe", f"--user-data-dir={profile}", "--no-first-run", "--disable-gpu"]
        if os.getuid() == 0:
            options.append("--no-sandbox")
        start = f'exec "$0" "$@" 3<&{given[0]} 4>&{given[1]}'       # it listens at 3 and answers at 4
        self.process = subprocess.Popen(["bash", "-c", start, program, *options], pass_fds=given, stderr=subprocess.DEVNULL)
        for end in (from_us, to_us, *given):
            os.close(end)
        self.unread, self.number, self.session, self.events = b"", 0, None, []
        target = self.do("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.do("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.do("Page.enable")
        while self.evaluate("document.readyState") != "complete":
            pass
        self.events.clear()             # what came was about the empty page

    def message(self):
        while b"\0" not in self.unread:
            got = os.read(self.of, 65536)
            if not got:
                sys.exit(f"{program} has ended")
            self.unread += got
        text, self.unread = self.unread.split(b"\0", 1)
        return json.loads(text)

    def do(self, method, **parameters):
        self.number += 1
        asked = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            asked["sessionId"] = self.session
        os.write(self.to, json.dumps(asked).encode() + b"\0")
        while (answer := self.message()).get("id") != self.number:
            self.events.append(answer.get("method"))
        if "error" in answer:
            sys.exit(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def evaluate(self, script):
        answer = self.do("Runtime.evaluate", expression=script)
        if "exceptionDetails" in answer:
            sys.exit(f"{script}: {answer['exceptionDetails']['exception']['description']}")
        return answer["result"].get("value")

    def page(self):
        """Waits for the page that is on its way, and says which it is."""
        while "Page.loadEventFired" not in self.events:
            self.events.append(self.message().get("method"))
        self.events.clear()
        print(self.evaluate("location.origin + location.pathname + ': ' + document.querySelector('h1').innerText"), flush=True)

    def type(self, field, text):
        self.evaluate(f"document.querySelector('{field}').focus()")
        self.do("Input.insertText", text=text)

    def press(self, button):
        self.evaluate(f"document.querySelector('{button}').click()")


signal.alarm(120)                      # a browser that hangs ends this
with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
    browser = Browser(profile)
    try:
        browser.do("Page.navigate", url=url)
        browser.page()
        browser.type("#username", "ann")
        browser.type("#password", password)
        browser.press("form button")
        browser.page()
        browser.press("button[value=allow]")
        browser.page()
    finally:
        browser.process.kill()
        browser.process.wait()

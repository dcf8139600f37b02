"""An API with an authorization server of its own: it gives tokens to whoever proves to be the gateway, and answers only with one of them."""
import base64
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

GATEWAY = "Basic " + base64.b64encode(b"gateway:" + sys.argv[2].encode()).decode()
lock, given, asked = threading.Lock(), set(), []   # the tokens that were given, and the forms that asked for them


class Partner(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536

    def answer(self, status, seen, *headers):
        text = json.dumps(seen).encode()
        self.send_response(status)
        for name, value in (("Content-Type", "application/json"), ("Content-Length", str(len(text))), *headers):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    def do_POST(self):
        form = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        if self.path != "/token" or self.headers.get("Authorization") != GATEWAY:
            return self.answer(401, {"error": "invalid_client"})
        time.sleep(0.3)                              # long enough for everybody to ask meanwhile, if they would
        with lock:
            asked.append(form)
            token = f"token-{len(asked)}"
            given.add("Bearer " + token)
        self.answer(200, {"access_token": token, "token_type": "Bearer", "expires_in": 3600})

    def do_GET(self):
        if self.path == "/asked":                    # for the script: the token requests so far
            return self.answer(200, {"asked": len(asked)})
        with lock:
            good = self.headers.get("Authorization") in given
        if good:
            return self.answer(200, {"path": self.path, "token": self.headers["Authorization"]})
        self.answer(401, {"error": "invalid_token"}, ("WWW-Authenticate", 'Bearer error="invalid_token"'))

    def log_message(self, *_):
        pass


ThreadingHTTPServer.request_queue_size = 128
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Partner).serve_forever()

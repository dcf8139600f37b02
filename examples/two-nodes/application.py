"""The application: waits for the browser that comes back to it, prints what it brought as JSON, and ends."""
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

brought = {}
back = threading.Event()


class Application(BaseHTTPRequestHandler):
    def do_GET(self):
        url = urlsplit(self.path)
        callback = url.path == "/callback"
        self.send_response(200 if callback else 404)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>The Shop</title><h1>Back at the shop</h1>")
        if callback:
            brought.update(parse_qsl(url.query))
            back.set()

    def log_message(self, *_):
        pass


application = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Application)
threading.Thread(target=application.serve_forever, daemon=True).start()
back.wait()
print(json.dumps(brought))

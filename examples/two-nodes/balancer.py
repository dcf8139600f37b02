"""One address in front of several nodes: the requests for each path go to them in turn. Prints who got which."""
import http.client
import itertools
import sys
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

address, *nodes = (int(port) for port in sys.argv[1:])
turns = defaultdict(lambda: itertools.cycle(enumerate(nodes, 1)))


class Balancer(BaseHTTPRequestHandler):
    def forward(self):
        path = self.path.split("?")[0]
        number, port = next(turns[path])
        node = http.client.HTTPConnection("127.0.0.1", port)
        node.request(self.command, self.path, self.rfile.read(int(self.headers.get("Content-Length", 0))), dict(self.headers))
        answer = node.getresponse()
        print(f"node{number} {self.command} {path} {answer.status}", flush=True)
        body = answer.read()
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "transfer-encoding"):
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = forward

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", address), Balancer).serve_forever()

#!/usr/bin/env python3
"""Clients of two nodes: get tokens, look at them on the other node, revoke some, and know what each token must be.

    load.py FOLDER CLIENT SECRET URL URL

Writes how many rounds were done to FOLDER/rounds, stops when FOLDER/stop is there, and then looks at every token on both nodes.
Exit code 1 where an answer was another one than it had to be.
"""
import base64
import http.client
import json
import os
import random
import sys
import threading
import time
import urllib.parse

folder, client, secret, *urls = sys.argv[1:]
nodes = [urllib.parse.urlsplit(url).netloc for url in urls]
lock = threading.Lock()
live, revoked, wrong = [], [], []
rounds = 0


class Caller:
    """One connection to each node."""

    def __init__(self):
        self.links = {node: http.client.HTTPConnection(node, timeout=30) for node in nodes}

    def post(self, node, path, form, basic=False):
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if basic:
            headers["Authorization"] = "Basic " + base64.b64encode(f"{client}:{secret}".encode()).decode()
        link = self.links[node]
        link.request("POST", path, urllib.parse.urlencode(form), headers)
        answer = link.getresponse()
        return answer.status, answer.read()

    def expect(self, what, status, node, path, form, basic=False):
        got, body = self.post(node, path, form, basic)
        if got != status:
            with lock:
                wrong.append(f"{what}: {got}, expected {status}: {body[:200]}")
        return body if got == status else None

    def token(self, node):
        body = self.expect("a token", 200, node, "/api/oauth/token", {"grant_type": "client_credentials"}, True)
        return body and json.loads(body)["access_token"]

    def info(self, what, status, node, token):
        self.expect(what, status, node, "/api/oauth/tokeninfo", {"access_token": token})

    def revoke(self, node, token):
        self.expect("a revocation", 200, node, "/api/oauth/revoke", {"token": token}, True)


def work(seed):
    global rounds
    caller, chance = Caller(), random.Random(seed)
    while not os.path.exists(f"{folder}/stop"):
        one, other = chance.sample(nodes, 2)
        token = caller.token(one)
        if token:
            caller.info("a new token", 200, other, token)
            with lock:
                live.append(token)
        with lock:
            old = live.pop(chance.randrange(len(live))) if len(live) > 20 else None
            dead = chance.choice(revoked) if revoked else None
        if old:                            # nobody else has it meanwhile
            caller.info("a token of before", 200, other, old)
            kept = live
            if chance.random() < 0.5:
                caller.revoke(one, old)
                caller.info("a token that was just revoked", 400, other, old)
                kept = revoked
            with lock:
                kept.append(old)
        if dead:
            caller.info("a token that was revoked before", 400, other, dead)
        with lock:
            rounds += 1
        time.sleep(0.05)


def tell():
    while not os.path.exists(f"{folder}/stop"):
        with open(f"{folder}/rounds.new", "w") as file:
            file.write(str(rounds))
        os.rename(f"{folder}/rounds.new", f"{folder}/rounds")
        time.sleep(0.1)


threads = [threading.Thread(target=work, args=(seed,)) for seed in range(3)] + [threading.Thread(target=tell)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
caller = Caller()
for node in nodes:
    for token in live:
        caller.info("a live token at the end", 200, node, token)
    for token in revoked:
        caller.info("a revoked token at the end", 400, node, token)
print(f"{rounds} rounds, {len(live)} tokens live, {len(revoked)} revoked, {len(wrong)} errors")
for line in wrong[:10]:
    print("  " + line)
sys.exit(1 if wrong or not live or not revoked else 0)

"""People who logged in at a node and agreed, and what their clients get of that: codes, tokens. Used by measure.py.

Everything comes by the policies that `init` writes: a person logs in and agrees by the pages, each once; a client then asks for one code
after the other with that person's session, as a browser does whose user sees no page any more.
"""

import html
import http.client
import json
import re
import sys
from urllib.parse import urlencode

from bench import basic, load, run, works, write_requests

PEOPLE = 50
CLIENT, CALLBACK = "shop", "https://shop.example/callback"
# RFC 7636, appendix B.
VERIFIER, CHALLENGE = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
SCOPE = "bench:read offline_access"
OPENID = f"openid profile email {SCOPE}"
# Where it stands in an answer, as Lua looks for it.
CODE, REFRESH, ID_TOKEN = "[?&]code=([^&]+)", '"refresh_token":%s*"([^"]+)"', '"id_token":%s*"([^"]+)"'
AUTHORIZE, TOKEN = "/api/oauth/authorize", "/api/oauth/token"


def register(program, folder):
    """The client's credentials, and the people's names and passwords."""
    client = json.loads(run(program, "-c", folder, "client", "add", "--id", CLIENT, "--json", "--scope", OPENID, "--redirect-uri", CALLBACK,
                            "--grant", "authorization_code", "--grant", "refresh_token"))
    people = []
    for number in range(PEOPLE):
        name = f"ann{number}"
        made = json.loads(run(program, "-c", folder, "user", "add", name, "--email", f"{name}@shop.example", "--name", f"Ann {number}", "--json"))
        people.append((name, made["password"]))
    return f"{CLIENT}:{client['client_secret']}", people


def ask(scope):
    return f"{AUTHORIZE}?" + urlencode({
        "response_type": "code", "client_id": CLIENT, "redirect_uri": CALLBACK, "state": "s1", "scope": scope,
        "code_challenge": CHALLENGE, "code_challenge_method": "S256"})


class Browser:
    def __init__(self, port):
        self.connection, self.cookies = http.client.HTTPConnection("127.0.0.1", port, timeout=10), {}

    def cookie(self):
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    def send(self, status, path, form=None):
        headers = {"Cookie": self.cookie()}
        if form:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        self.connection.request("POST" if form else "GET", path, urlencode(form) if form else None, headers)
        answer = self.connection.getresponse()
        text = answer.read().decode()
        if answer.status != status:
            sys.exit(f"{path}: {answer.status} instead of {status}:\n{text}")
        for cookie in answer.headers.get_all("Set-Cookie") or []:
            name, value = cookie.split(";")[0].split("=", 1)
            self.cookies[name] = value
        return text


def resume(page):
    return html.unescape(re.search('name="resume" value="([^"]+)"', page).group(1))


def log_in(port, name, password):
    """Logs in and allows everything; the session's cookie."""
    browser = Browser(port)
    page = browser.send(200, ask(OPENID))
    page = browser.send(200, AUTHORIZE, {"resume": resume(page), "username": name, "password": password})
    allowed = {f"scope.{number}": scope for number, scope in enumerate(OPENID.split())}
    browser.send(303, AUTHORIZE, {"resume": resume(page), "decision": "allow", **allowed})
    browser.cookies = {name: value for name, value in browser.cookies.items() if "session" in name}
    return browser.cookie()


class Shop:
    """The client, whose users have all logged in at this node."""

    def __init__(self, core, folder, node, registered, connections):
        credentials, people = registered
        self.core, self.folder, self.node, self.connections = core, folder, node, connections
        self.authorization = basic(credentials)
        self.cookies = [log_in(node["port"], *person) for person in people]

    def asks(self, scope):
        """Requests for codes, with each person's session in turn."""
        return write_requests(self.folder / f"authorize-{len(scope.split())}.txt", [["GET", ask(scope), "-", "-", cookie] for cookie in self.cookies])

    def codes(self, scope, seconds):
        """Requests that exchange a code, enough for so long, and how many. A code is given sooner than it is exchanged; it lives for a
        minute."""
        codes = self.found(self.asks(scope), seconds * 3 // 2, CODE)
        return self.to_token("code.txt", [{
            "grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER} for code in codes])

    def refreshes(self, scope, seconds):
        """Requests that use a refresh token, enough for so long, and how many."""
        tokens = self.exchanged(scope, 2 * seconds, REFRESH)
        return self.to_token("refresh.txt", [{"grant_type": "refresh_token", "refresh_token": token} for token in tokens])

    def exchanged(self, scope, seconds, find=None):
        """Tokens that codes were exchanged for in so long."""
        requests, ready = self.codes(scope, seconds)
        return self.found(requests, seconds, find, ready)

    def found(self, requests, seconds, find, ready=None):
        kept = self.folder / "kept.txt"
        kept.unlink(missing_ok=True)
        result = load(self.core, self.node["url"], requests, seconds, self.connections, kept, find)
        found = kept.read_text().split()
        # Some were asked for when the time was over.
        works("preparing", {**result, "broken": result["broken"] + (result["requests"] - len(found) > self.connections)})
        if ready and result["taken"] > ready:
            sys.exit(f"{result['taken']} were asked for in {seconds} s, and {ready} were ready: a shorter time")
        return found

    def to_token(self, name, forms):
        requests = write_requests(self.folder / name, [["POST", TOKEN, self.authorization, urlencode(form)] for form in forms])
        return requests, len(forms)

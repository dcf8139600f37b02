"""Alice logs in at the provider for an application of the gateway: once, then without being asked, then because the application wants it."""
import base64
import hashlib
import json
import re
import secrets
import sys
import urllib.parse
import urllib.request

from browser import action, call, follow

gateway, secret = sys.argv[1:]
CALLBACK = "http://127.0.0.1:9/cb"


def authorize(**more):
    """The browser goes to the authorization endpoint; what it ends at, and the verifier."""
    verifier = secrets.token_urlsafe(48)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    asked = dict(response_type="code", client_id="app", redirect_uri=CALLBACK, scope="openid", state="s", code_challenge=challenge, code_challenge_method="S256")
    return follow(f"{gateway}/corp/authorize?{urllib.parse.urlencode(asked | more)}", until=CALLBACK), verifier


def told(url):
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))


def id_token(url, verifier):
    form = dict(grant_type="authorization_code", code=told(url)["code"], redirect_uri=CALLBACK, code_verifier=verifier)
    request = urllib.request.Request(f"{gateway}/api/oauth/token", data=urllib.parse.urlencode(form).encode())
    request.add_header("Authorization", "Basic " + base64.b64encode(f"app:{secret}".encode()).decode())
    payload = json.load(urllib.request.urlopen(request))["id_token"].split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=="))


def logged_in(page):
    """At the provider, which may also ask her to agree."""
    status, url, page = follow(action(page), {"prompt": "login", "login": "alice", "password": "x"}, until=CALLBACK)
    if not url.startswith((gateway, CALLBACK)):
        status, url, page = follow(action(page), {"prompt": "consent"}, until=CALLBACK)
    return status, url, page


# Nobody is logged in, and nobody may be asked.
(_, url, _), _ = authorize(prompt="none")
assert told(url)["error"] == "login_required", url

(_, url, page), verifier = authorize()
assert not url.startswith(gateway), url
_, url, page = logged_in(page)
assert url.startswith(f"{gateway}/corp/authorize?resume="), url
form = {"resume": re.search(r'name="resume" value="([^"]+)"', page)[1].replace("&#x2f;", "/"), "decision": "allow", "scope.0": "openid"}
_, url, _ = follow(f"{gateway}{action(page).replace('&#x2f;', '/')}", form, until=CALLBACK)
assert told(url)["state"] == "s", url
first = id_token(url, verifier)
assert first["sub"] == "partner:alice", first

# She has a session here: nobody asks anything.
(_, url, _), verifier = authorize(prompt="none")
assert id_token(url, verifier)["auth_time"] == first["auth_time"]

# The application wants her to log in anew: so does the provider, though she has a session there too.
(_, url, page), verifier = authorize(prompt="login")
assert not url.startswith((gateway, CALLBACK)) and 'name="password"' in page, (url, page)
_, url, page = logged_in(page)
assert url.startswith(CALLBACK), (url, page)
again = id_token(url, verifier)
assert again["auth_time"] >= first["auth_time"], again
print(again)

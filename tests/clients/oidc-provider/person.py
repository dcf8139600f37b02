"""A person at a browser: goes to the provider by the gateway, logs in and agrees there, comes back; and tries the same code once more."""
import json
import re
import sys
import urllib.error
import urllib.parse
import urllib.request

gateway = sys.argv[1]
jar = {}


class Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def call(url, form=None):
    """One request, with the cookies of its host."""
    cookies = jar.setdefault(urllib.parse.urlsplit(url).netloc, {})
    request = urllib.request.Request(url, data=form and urllib.parse.urlencode(form).encode())
    if cookies:
        request.add_header("Cookie", "; ".join(f"{name}={value}" for name, value in cookies.items()))
    try:
        answer = urllib.request.build_opener(Stay).open(request)
    except urllib.error.HTTPError as error:
        answer = error
    for cookie in answer.headers.get_all("Set-Cookie") or []:
        name, value = cookie.split(";")[0].split("=", 1)
        cookies[name] = value
    return answer.status, answer.headers.get("Location"), answer.read().decode()


def follow(url, form=None):
    """As a browser does, to where no redirection leads further."""
    while True:
        status, location, body = call(url, form)
        if location is None:
            return status, url, body
        url, form = urllib.parse.urljoin(url, location), None


def action(page):
    return re.search(r'action="([^"]+)"', page)[1]


_, _, page = follow(f"{gateway}/go")
_, _, page = follow(action(page), {"prompt": "login", "login": "alice", "password": "x"})
status, url, page = follow(action(page), {"prompt": "consent"})
print(status, page)
assert status == 200 and url.startswith(f"{gateway}/back?"), url
told = json.loads(page)
assert (told["sub"], told["subject"], told["to"]) == ("alice", "partner:alice", "/users"), told
assert told["claims"]["aud"] == "gateway" and told["scopes"] == ["openid", "offline_access"], told
assert call(url)[0] == 400, "the journey has ended: its cookie is gone"

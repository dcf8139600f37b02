"""Every step of OAuth is the library's own; the person is a `requests` session that fills in forms."""
import os
import re
import sys
from html import unescape
from urllib.parse import urljoin

import requests
from oauthlib.oauth2 import BackendApplicationClient, InvalidClientError, InvalidGrantError, InvalidScopeError, MismatchingStateError
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session

issuer, password = sys.argv[1:]
authorize, token, revoke, introspect, userinfo = (
    f"{issuer}/api/oauth/{name}" for name in ("authorize", "token", "revoke", "introspect", "userinfo"))
shop_secret, job_secret = os.environ["SHOP_SECRET"], os.environ["JOB_SECRET"]
redirect_uri = "http://127.0.0.1:9/cb"
everything = ["openid", "profile", "offline_access", "orders"]


def say(text):
    print(f"\n== {text}", flush=True)


def refused(error, deed):
    try:
        deed()
    except error:
        return
    raise AssertionError(f"expected {error.__name__}")


class Person(requests.Session):
    """A browser on the server's own machine: it sends `Secure` cookies over http, too."""

    def prepare_request(self, request):
        prepared = super().prepare_request(request)
        prepared.headers["Cookie"] = "; ".join(f"{cookie.name}={cookie.value}" for cookie in self.cookies)
        return prepared

    def submit(self, page, **typed):
        """The form of the page, with what was typed; stays where it leads."""
        hidden = {name: unescape(value) for name, value in re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page.text)}
        action = unescape(re.search(r'action="([^"]+)"', page.text)[1])
        return self.post(urljoin(page.url, action), {**hidden, **typed}, allow_redirects=False)


def session(scope, **more):
    return OAuth2Session("shop", redirect_uri=redirect_uri, scope=scope, pkce="S256", **more)


say("A code with PKCE: ann logs in and allows it")
ann = Person()
shop = session(everything)
url, state = shop.authorization_url(authorize)
page = ann.submit(ann.get(url), username="ann", password=password)
boxes = dict(re.findall(r'<input type="checkbox" name="([\w.]+)" value="(\w+)" checked>', page.text))
assert sorted(boxes.values()) == ["offline_access", "orders", "profile"], page.text
back = ann.submit(page, decision="allow", **boxes).headers["Location"]
other = session(["orders"], state="other")
refused(MismatchingStateError, lambda: other.fetch_token(token, authorization_response=back, client_secret=shop_secret))
first = dict(shop.fetch_token(token, authorization_response=back, client_secret=shop_secret))
assert first["token_type"] == "Bearer" and first["expires_in"] == 3600, first
assert sorted(first["scope"]) == sorted(everything), first

say("With another verifier there is no token")
careless = session(["orders"])
url, _ = careless.authorization_url(authorize)
back = ann.get(url, allow_redirects=False).headers["Location"]
careless._code_verifier = "x" * 43
refused(InvalidGrantError, lambda: careless.fetch_token(token, authorization_response=back, client_secret=shop_secret))

say("Refresh, by itself when the token has expired, with rotation")
kept = []
shop = session(everything, token={**first, "expires_at": 1}, auto_refresh_url=token,
               auto_refresh_kwargs={"client_id": "shop", "client_secret": shop_secret}, token_updater=kept.append)
answer = shop.get(userinfo)
assert answer.status_code == 200 and answer.json() == {"sub": "ann", "name": "Ann Example"}, answer.text
assert len(kept) == 1 and kept[0]["refresh_token"] != first["refresh_token"] and kept[0]["access_token"] != first["access_token"], kept
shop.token = kept[0]


def active(which):
    told = requests.post(introspect, {"token": which}, auth=HTTPBasicAuth("shop", shop_secret))
    assert told.status_code == 200, told.text
    return told.json()["active"]


say("Revoked, and refused")
assert active(shop.token["access_token"])
url, headers, body = shop._client.prepare_token_revocation_request(revoke, shop.token["refresh_token"], "refresh_token")
answer = requests.post(url, body, headers=headers, auth=HTTPBasicAuth("shop", shop_secret))
assert answer.status_code == 200, answer.text
assert not active(shop.token["access_token"]), "the access tokens of that refresh token are gone, too (RFC 7009, section 2.1)"
refused(InvalidGrantError, lambda: shop.refresh_token(token))

say("Client credentials: in the header, in the body; a narrower scope, another's, a wrong secret")
job = OAuth2Session(client=BackendApplicationClient("job", scope=["stock"]))
narrow = job.fetch_token(token, auth=HTTPBasicAuth("job", job_secret))
assert narrow.get("scope", ["stock"]) == ["stock"], "left out where it is what was asked (RFC 6749, section 5.1)"
job = OAuth2Session(client=BackendApplicationClient("job"))
got = job.fetch_token(token, client_secret=job_secret, include_client_id=True)
assert sorted(got["scope"]) == ["orders", "stock"] and "refresh_token" not in got, got
job = OAuth2Session(client=BackendApplicationClient("job", scope=["profile"]))
refused(InvalidScopeError, lambda: job.fetch_token(token, auth=HTTPBasicAuth("job", job_secret)))
refused(InvalidClientError, lambda: job.fetch_token(token, auth=HTTPBasicAuth("job", "wrong")))

"""A person at a browser: goes to the provider by the gateway, logs in and agrees there, comes back; and tries the same code once more."""
import json
import sys

from browser import action, call, follow

gateway = sys.argv[1]
_, _, page = follow(f"{gateway}/go")
_, _, page = follow(action(page), {"prompt": "login", "login": "alice", "password": "x"})
status, url, page = follow(action(page), {"prompt": "consent"})
print(status, page)
assert status == 200 and url.startswith(f"{gateway}/back?"), url
told = json.loads(page)
assert (told["sub"], told["subject"], told["to"]) == ("alice", "partner:alice", "/users"), told
assert told["claims"]["aud"] == "gateway" and told["scopes"] == ["openid", "offline_access"], told
assert call(url)[0] == 400, "the journey has ended: its cookie is gone"

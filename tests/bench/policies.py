"""A large configuration, the same at every run: what a company's gateway looks like after some years. Used by check.py.

Each policy protects one service of a team: a token, scopes by method, a limit, shared policies that are called, a `switch` here and
there, headers, the upstream, and headers on the answer; ten routes each.
"""

WORDS = ("orders invoices payments parcels customers tickets reports quotes stocks offers contracts claims drivers routes meters "
         "readings tariffs bookings rooms guests").split()
PARTS = "items lines events notes history documents".split()
SHARED = 20
UPSTREAMS = 25


def policy(number, tests):
    team, word = f"team-{number // 20:02}", WORDS[number % len(WORDS)]
    base = f"/{team}/{word}"
    lines = [f'description = "{word.capitalize()} of {team}: read with one scope, written with another."', "routes = ["]
    lines += [f'    "GET {base}",', f'    "POST {base}",', f'    {{ path = "{base}/{{id}}", methods = ["GET", "PUT", "DELETE"] }},',
              f'    "GET {base}/search/{{*rest}}",']
    lines += [f'    "GET {base}/{{id}}/{part}",' for part in PARTS]
    lines += ["]", "", "[[filter]]", 'use = "oauth.validate-token"', ""]
    lines += ["[[filter]]", 'use     = "oauth.check-scope"', 'by      = "${request.method}"',
              f'asked   = {{ GET = ["{word}:read"], POST = ["{word}:write"], PUT = ["{word}:write"], DELETE = ["{word}:delete"] }}',
              'allowed = "${token.scopes}"', ""]
    lines += ["[[filter]]", 'use   = "rate-limit"', 'key   = "${client.id}"', f'limit = "{100 + number % 7 * 50}/1s"', ""]
    lines += ["[[filter]]", 'use    = "call"', f'policy = "shared/headers-{number % SHARED}"', f'with   = {{ team = "{team}" }}', ""]
    if number % 4 == 0:
        lines += ["[[filter]]", 'use  = "switch"', 'on   = "${request.header.x-version ?? 1}"', 'else = "current"', "",
                  "[filter.case]", '1 = "current"', '0 = "old"', ""]
    if number % 5 == 0:
        lines += ["[[filter]]", 'use    = "require"', f"that   = 'size(token.scopes) > 0 && client.id != \"{team}-blocked\"'",
                  'reason = "blocked"', 'status = 403', ""]
    lines += ["[[filter]]", 'use      = "proxy"', f'upstream = "backend-{number % UPSTREAMS}"', ""]
    if number % 4 == 0:
        lines += ["[[chain.current]]", 'use = "set-header"', 'set = { X-Version = "1" }', "",
                  "[[chain.old]]", 'use = "set-header"', f'set = {{ X-Version = "0", X-Deprecated = "{team}" }}', ""]
    lines += ["[[response]]                    # on every answer, refusals included", 'use = "security-headers"', ""]
    if not tests:
        lines += ["[allow]", 'route-without-test = "what is measured is the policy"', ""]
    else:
        lines += ["[[test]]", 'name    = "no token: asked for one"', f'request = {{ path = "{base}" }}',
                  'expect  = { status = 401, path = ["oauth.validate-token:failure", "security-headers:success"] }', ""]
    return team, word, "\n".join(lines)


def shared(number):
    return "\n".join([
        'description = "Headers that every service of a team gets."', "", "[input]", 'team = "string"', "", "[[filter]]",
        'use = "set-header"', 'set = { X-Client = "${client.id}", X-Team = "${input.team}" }', "", "[[filter]]", 'use = "set"', "",
        "[filter.vars]", f'shard = "{number}"', ""])


def write(folder, count, tests=False):
    """Adds the policies and their upstreams to a configuration."""
    with open(folder / "node.toml", "a") as node:
        for number in range(UPSTREAMS):
            node.write(f'\n[upstream.backend-{number}]\ntargets = ["http://127.0.0.1:{9000 + number}"]\n'
                       'timeouts = { connect = "1s", first_byte = "10s", idle = "30s" }\n')
    (folder / "policies" / "shared").mkdir()
    for number in range(SHARED):
        (folder / "policies" / "shared" / f"headers-{number}.toml").write_text(shared(number))
    for number in range(count):
        team, word, text = policy(number, tests)
        (folder / "policies" / team).mkdir(exist_ok=True)
        (folder / "policies" / team / f"{word}.toml").write_text(text)

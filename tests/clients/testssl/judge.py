"""Reads what testssl.sh found: what must have been looked for was, and all that was found is good."""

import json
import sys

file, *asked = sys.argv[1:]
found = {}
for one in json.load(open(file)):
    found.setdefault(one["id"], []).append(one)
    print(f"{one['id']}: {one['severity']}: {one['finding']}")

# By section; where a finding says what it must say, more than that it is good.
WANTED = {
    "--protocols": {
        "SSLv2": "not offered", "SSLv3": "not offered", "TLS1": "not offered", "TLS1_1": "not offered",
        "TLS1_2": "offered", "TLS1_3": "offered", "ALPN_HTTP2": "h2",
    },
    "--std": {
        **{f"cipherlist_{kind}": "not offered" for kind in ("NULL", "aNULL", "EXPORT", "LOW", "3DES_IDEA", "AVERAGE")},
        "cipherlist_STRONG": "offered",
    },
    "--pfs": {"PFS": "offered"},
    "--vulnerable": dict.fromkeys(
        (
            "heartbleed", "CCS", "ticketbleed", "ROBOT", "secure_client_renego", "CRIME_TLS", "POODLE_SSL", "SWEET32", "FREAK", "DROWN",
            "LOGJAM", "BEAST", "LUCKY13", "RC4",
        ),
        "not vulnerable",
    ),
}  # fmt: skip
wrong = []
for section in asked:
    for name, says in WANTED[section].items():
        findings = [one["finding"] for one in found.get(name, [])]
        if not findings or not all(finding.startswith(says) for finding in findings):
            wrong.append(f"{name} is `{says}`, got {findings}")
for findings in found.values():
    # WARN is what it could not find out.
    wrong += [f"{one['id']}: {one['severity']}: {one['finding']}" for one in findings if one["severity"] not in ("OK", "INFO")]
if wrong:
    sys.exit("EXPECTED OTHERWISE: " + "\n".join(wrong))
print(f"{sum(len(findings) for findings in found.values())} findings, all good")

"""Checks an ID token as an application does (OpenID Connect Core, section 3.1.3.7), and prints what it says.

    id_token.py TOKEN JWKS ISSUER CLIENT NONCE        JWKS: the URL of the keys. The signature is checked by openssl."""
import base64
import json
import subprocess
import sys
import tempfile
import time
import urllib.request

token, jwks, issuer, client, nonce = sys.argv[1:]


def decoded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def number(octets):
    """One number of a signature, in DER."""
    octets = octets.lstrip(b"\0")
    octets = b"\0" * (not octets or octets[0] > 127) + octets
    return bytes([2, len(octets)]) + octets


head, body, signature = token.split(".")
header, claims = json.loads(decoded(head)), json.loads(decoded(body))
assert header["alg"] == "ES256", header
key = next(key for key in json.load(urllib.request.urlopen(jwks))["keys"] if key["kid"] == header["kid"])
raw = decoded(signature)
numbers = number(raw[:32]) + number(raw[32:])
with tempfile.NamedTemporaryFile() as public, tempfile.NamedTemporaryFile() as signed:
    curve = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")     # a public key on P-256: these, x, y
    public.write(curve + decoded(key["x"]) + decoded(key["y"]))
    signed.write(bytes([0x30, len(numbers)]) + numbers)
    public.flush()
    signed.flush()
    subprocess.run(["openssl", "dgst", "-sha256", "-verify", public.name, "-keyform", "DER", "-signature", signed.name],
                   input=f"{head}.{body}".encode(), check=True)
assert claims["iss"] == issuer and claims["aud"] == client and claims["nonce"] == nonce, claims
assert claims["exp"] > time.time(), claims
print(json.dumps(claims))

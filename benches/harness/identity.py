"""A key pair (ES256), its key set, and a token that is good for a day: what an authorization server would give."""

import base64
import json
import subprocess
import time

ISSUER, AUDIENCE = "https://issuer.example.com", "https://bench.example.com/mcp"


class Identity:
    def __init__(self, folder):
        key = folder / "issuer.pem"
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key)
        # The last 64 bytes of the public key's DER are the point.
        point = openssl("ec", "-in", key, "-pubout", "-outform", "DER")[-64:]
        jwk = {"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "bench",
               "x": base64url(point[:32]), "y": base64url(point[32:])}
        self.jwks = folder / "jwks.json"
        self.jwks.write_text(json.dumps({"keys": [jwk]}))

        now = int(time.time())
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "bench", "iat": now, "exp": now + 86_400, "scope": "files:read"}
        header = {"alg": "ES256", "typ": "at+jwt", "kid": "bench"}
        signed = ".".join(base64url(json.dumps(part).encode()) for part in (header, claims))
        signature = openssl("dgst", "-sha256", "-sign", key, said=signed.encode())
        self.token = f"{signed}.{base64url(b''.join(integers(signature)))}"

    def options(self):
        """What tells Pressmark to trust it."""
        return ["--jwt-issuer", ISSUER, "--jwks-file", self.jwks, "--jwt-audience", AUDIENCE]


def integers(der):
    """The two integers of a signature in DER, 32 bytes each."""
    at = 2
    for _ in range(2):
        length = der[at + 1]
        yield der[at + 2:at + 2 + length].lstrip(b"\0").rjust(32, b"\0")
        at += 2 + length


def base64url(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def openssl(*arguments, said=b""):
    return subprocess.run(["openssl", *map(str, arguments)], input=said, capture_output=True, check=True).stdout

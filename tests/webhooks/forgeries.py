"""Signature headers that prove nothing: one table for the pure check and for the door."""

from __future__ import annotations

import hashlib
import hmac

from tests import recorded

#: What the forged headers are sent with.
BODY = b'{"zen":"Keep it logically awesome."}'
#: The header that does prove it.
RIGHT = recorded.sign(BODY)
_DIGEST = RIGHT.removeprefix("sha256=")

#: Header values that prove nothing, each with the label that it is counted under.
UNPROVED: dict[str, tuple[str | None, str]] = {
    "missing": (None, "missing"),
    "empty": ("", "malformed"),
    "empty digest": ("sha256=", "malformed"),
    "digest alone": (_DIGEST, "malformed"),
    "upper-case digest": (f"sha256={_DIGEST.upper()}", "malformed"),
    "upper-case scheme": (f"SHA256={_DIGEST}", "malformed"),
    "truncated by one": (RIGHT[:-1], "malformed"),
    "truncated to a byte": (RIGHT[: len("sha256=") + 2], "malformed"),
    "longer by one": (f"{RIGHT}0", "malformed"),
    "space before": (f" {RIGHT}", "malformed"),
    "space after": (f"{RIGHT} ", "malformed"),
    "newline after": (f"{RIGHT}\n", "malformed"),
    "space within": (f"sha256= {_DIGEST}", "malformed"),
    "colon for equals": (f"sha256:{_DIGEST}", "malformed"),
    "twice, by comma": (f"{RIGHT}, {RIGHT}", "malformed"),
    "0x before the digest": (f"sha256=0x{_DIGEST[2:]}", "malformed"),
    "not hex": (f"sha256={'g' * 64}", "malformed"),
    "not ASCII": (f"sha256={'é' * 64}", "malformed"),
    "full-width digits": ("sha256=" + "０" * 64, "malformed"),
    "NUL": (f"sha256={_DIGEST[:-1]}\x00", "malformed"),
    "SHA-1 in the SHA-256 header": (f"sha1={hmac.digest(recorded.SECRET, BODY, hashlib.sha1).hex()}", "malformed"),
    "SHA-1 called SHA-256": (f"sha256={hmac.digest(recorded.SECRET, BODY, hashlib.sha1).hex()}", "malformed"),
    "SHA-512 called SHA-256": (f"sha256={hmac.digest(recorded.SECRET, BODY, hashlib.sha512).hex()}", "malformed"),
    "hash without a key": (f"sha256={hashlib.sha256(BODY).hexdigest()}", "wrong"),
    "hash of secret and body": (f"sha256={hashlib.sha256(recorded.SECRET + BODY).hexdigest()}", "wrong"),
    "empty secret": (f"sha256={hmac.digest(b'', BODY, hashlib.sha256).hex()}", "wrong"),
    "another secret": (recorded.sign(BODY, b"hello"), "wrong"),
    "another body": (recorded.sign(BODY + b" "), "wrong"),
    "all zeros": (f"sha256={'0' * 64}", "wrong"),
    "last digit changed": (f"{RIGHT[:-1]}{'1' if RIGHT[-1] == '0' else '0'}", "wrong"),
}

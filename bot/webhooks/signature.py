"""Proves that a request body is GitHub's own: pure, SHA-256 only, constant time."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence

_FORM = re.compile(r"sha256=[0-9a-f]{64}", re.ASCII)


class SignatureInvalid(Exception):
    """The signature is missing, malformed, or made with another secret."""

    def __init__(self, label: str) -> None:
        super().__init__(label)
        #: A bounded word for metrics: `missing`, `malformed`, `sha1_only` or `wrong`.
        self.label = label


def verify(body: bytes, *, header: str | None, secrets: Sequence[bytes], has_sha1: bool = False) -> int:
    """Check `X-Hub-Signature-256` over the raw bytes; gives the position of the secret that made it.

    Every secret is tried whatever the first one says, so the time taken tells nothing.

    https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries

    :param has_sha1: whether the request has the older header, which proves nothing here.
    :raises SignatureInvalid: if none of the secrets made it.
    :raises ValueError: if no secret is given: an open door is never meant.
    """
    if not secrets or not all(secrets):
        raise ValueError("verifying needs a secret that is not empty")
    if header is None:
        raise SignatureInvalid("sha1_only" if has_sha1 else "missing")
    if _FORM.fullmatch(header) is None:
        raise SignatureInvalid("malformed")
    given = bytes.fromhex(header.removeprefix("sha256="))
    matches = [hmac.compare_digest(hmac.digest(secret, body, hashlib.sha256), given) for secret in secrets]
    if not any(matches):
        raise SignatureInvalid("wrong")
    return matches.index(True)

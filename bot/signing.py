"""Signatures after the Standard Webhooks specification, made and proved: pure, constant time, the clock is given.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

#: The headers, in lower case.
ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
#: How far a sender's clock and ours may be apart, either way: the specification's libraries take five minutes.
TOLERANCE_SECONDS = 300
#: The specification asks for 24 to 64 random bytes.
SHORTEST_KEY_BYTES, LONGEST_KEY_BYTES = 24, 64
_PREFIX = "whsec_"
#: Enough for any rotation; more would only be work.
_MOST_SIGNATURES = 16
_ID = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)
_SECONDS = re.compile(r"[0-9]{1,12}", re.ASCII)
_DIGEST = re.compile(r"[A-Za-z0-9+/]{43}=", re.ASCII)


class HeaderInvalid(Exception):
    """A header that every sender has to give is missing or malformed; its name is the text."""


class SignatureInvalid(Exception):
    """Nothing proves that the sender knows the secret, or not lately."""

    def __init__(self, label: str) -> None:
        super().__init__(label)
        #: A bounded word for metrics: `missing`, `malformed`, `wrong`, `late` or `early`.
        self.label = label


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """What a good signature says."""

    #: The same one whenever the sender tries again.
    id: str
    #: Position of the key that made it.
    key: int


def key(secret: str) -> bytes:
    """The key within a secret as it is written down: base64, with or without `whsec_` before it.

    :raises ValueError: with what is wrong, without the secret.
    """
    text = secret.strip().removeprefix(_PREFIX)
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"the secret is not {_PREFIX} followed by base64") from None
    if not SHORTEST_KEY_BYTES <= len(raw) <= LONGEST_KEY_BYTES:
        raise ValueError(
            f"the secret has {len(raw)} bytes: it takes {SHORTEST_KEY_BYTES} to {LONGEST_KEY_BYTES}, e.g. from"
            f' `echo "{_PREFIX}$(openssl rand -base64 32)"`'
        )
    return raw


def headers(body: bytes, *, id: str, at: datetime, keys: Sequence[bytes]) -> dict[str, str]:
    """The three headers of a request, signed with each key, so that its receiver may change keys at any time."""
    seconds = str(int(at.timestamp()))
    signatures = (base64.b64encode(_digest(one, id, seconds, body)).decode() for one in keys)
    return {ID: id, TIMESTAMP: seconds, SIGNATURE: " ".join(f"v1,{one}" for one in signatures)}


def verify(given: Mapping[str, str], body: bytes, *, keys: Sequence[bytes], now: datetime) -> Proof:
    """Prove a request by its raw bytes.

    Every signature is compared with that of every key whatever came of those before, so the time taken tells nothing.

    :param given: headers, names in lower case.
    :raises HeaderInvalid: if the id or the timestamp is missing or malformed.
    :raises SignatureInvalid: if no signature was made with one of the keys, or not within the tolerance.
    :raises ValueError: if no key is given: an open door is never meant.
    """
    if not keys or not all(keys):
        raise ValueError("verifying needs a key that is not empty")
    message_id = _required(given, ID, _ID)
    seconds = _required(given, TIMESTAMP, _SECONDS)
    shown = _signatures(given.get(SIGNATURE))
    matches = []
    for position, one in enumerate(keys):
        wanted = _digest(one, message_id, seconds, body)
        matches += [position for signature in shown if hmac.compare_digest(wanted, signature)]
    if not matches:
        raise SignatureInvalid("wrong")
    # Judged behind the signature: only what is genuine is called late.
    age_seconds = now.timestamp() - int(seconds)
    if abs(age_seconds) > TOLERANCE_SECONDS:
        raise SignatureInvalid("late" if age_seconds > 0 else "early")
    return Proof(id=message_id, key=matches[0])


def _required(given: Mapping[str, str], name: str, form: re.Pattern[str]) -> str:
    value = given.get(name)
    if value is None or not form.fullmatch(value):
        raise HeaderInvalid(name)
    return value


def _signatures(header: str | None) -> list[bytes]:
    if header is None:
        raise SignatureInvalid("missing")
    # Other versions, such as `v1a` for asymmetric keys, are for others.
    listed = [one.removeprefix("v1,") for one in header.split(" ")[:_MOST_SIGNATURES] if one.startswith("v1,")]
    found = [base64.b64decode(one) for one in listed if _DIGEST.fullmatch(one)]
    if not found:
        raise SignatureInvalid("malformed")
    return found


def _digest(one: bytes, message_id: str, seconds: str, body: bytes) -> bytes:
    return hmac.digest(one, b"%s.%s.%s" % (message_id.encode(), seconds.encode(), body), hashlib.sha256)

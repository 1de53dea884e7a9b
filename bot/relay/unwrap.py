"""A webhook out of what a relay says of it: pure. Its body is the very bytes that the relay wrote, never written anew.

The relay is believed nothing: whether the body is GitHub's own the door finds out by the signature, as for any request.
smee.io puts the headers beside `body`, which is the parsed JSON; gosmee puts the bytes as they came into `bodyB`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

#: What the door reads of a request; nothing else is passed on.
HEADERS = (
    "content-type",
    "user-agent",
    "x-github-delivery",
    "x-github-event",
    "x-github-hook-id",
    "x-github-hook-installation-target-id",
    "x-github-hook-installation-target-type",
    "x-hub-signature",
    "x-hub-signature-256",
)
_LONGEST = 1000
_FORM = "application/x-www-form-urlencoded"


class Unreadable(Exception):
    """What came is no webhook; the text says why, for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Relayed:
    """A webhook as the relay had it."""

    #: Names in lower case.
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def event(self) -> str:
        """What GitHub calls it."""
        return self.headers.get("x-github-event", "")

    @property
    def guid(self) -> str:
        """The delivery's id."""
        return self.headers.get("x-github-delivery", "")


def unwrap(data: bytes) -> Relayed:
    """Read the data of an event.

    :raises Unreadable: if it is no webhook, or one whose signature the relay did not keep.
    """
    try:
        fields = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise Unreadable("It is no JSON object.") from None
    given = {name.lower(): value for name, value in fields.items()}
    headers = {name: text for name in HEADERS if (text := _text(given.get(name))) is not None}
    if "bodyb" in given:
        return Relayed(headers=headers, body=_bytes(given["bodyb"]))
    if "body" not in given:
        raise Unreadable("It has no body.")
    if headers.get("content-type", "").partition(";")[0].strip().lower() == _FORM:
        raise Unreadable(
            "GitHub sends a form, and this relay does not keep its bytes: choose the content type `application/json` "
            "for the App's webhook."
        )
    return Relayed(headers=headers, body=bytes(given["body"]))


def _text(raw: msgspec.Raw | None) -> str | None:
    """A header's value; None where it cannot be one."""
    try:
        value = msgspec.json.decode(raw, type=str) if raw is not None else None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    is_header = value is not None and len(value) <= _LONGEST and value.isascii() and value.isprintable()
    return value if is_header else None


def _bytes(raw: msgspec.Raw) -> bytes:
    try:
        return base64.b64decode(msgspec.json.decode(raw, type=str), validate=True)
    except (msgspec.MsgspecError, UnicodeDecodeError, binascii.Error, ValueError):
        raise Unreadable("Its body is no base64.") from None

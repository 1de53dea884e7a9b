"""Signed webhooks that prove nothing: one table for the pure check and for the door."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bot import signing

SECRET = "whsec_" + base64.b64encode(b"hello, this is a secret of 32 by").decode()
OTHER_SECRET = "whsec_" + base64.b64encode(b"and this is another one, 32 byte").decode()
KEY, OTHER_KEY = signing.key(SECRET), signing.key(OTHER_SECRET)
BODY = b'{"type": "order.paid", "timestamp": "2026-03-04T05:06:07Z", "data": {"id": 7}}'
ID = "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W"


@dataclass(frozen=True, slots=True)
class Sent:
    """A request as somebody sends it."""

    headers: dict[str, str]
    body: bytes = BODY


def right(now: datetime, *, body: bytes = BODY, id: str = ID, key: bytes = KEY) -> Sent:
    """One that proves what it says."""
    return Sent(signing.headers(body, id=id, at=now, keys=[key]), body)


def _changed(name: str, value: str | None) -> Callable[[datetime], Sent]:
    def make(now: datetime) -> Sent:
        headers = {**right(now).headers, name: value or ""}
        return Sent({key: one for key, one in headers.items() if key != name or value is not None})

    return make


def _signature(change: Callable[[str], str]) -> Callable[[datetime], Sent]:
    def make(now: datetime) -> Sent:
        headers = right(now).headers
        return Sent({**headers, signing.SIGNATURE: change(headers[signing.SIGNATURE])})

    return make


def _at(offset: timedelta) -> Callable[[datetime], Sent]:
    return lambda now: right(now + offset)


def _with(digest: Callable[[bytes], bytes]) -> Callable[[datetime], Sent]:
    """Signed by something else than the rule."""

    def make(now: datetime) -> Sent:
        content = f"{ID}.{int(now.timestamp())}.".encode() + BODY
        made = base64.b64encode(digest(content)).decode()
        return Sent({**right(now).headers, signing.SIGNATURE: f"v1,{made}"})

    return make


def _moved_dot(now: datetime) -> Sent:
    """The same signed bytes, cut into id, timestamp and body elsewhere."""
    seconds = int(now.timestamp())
    signed = signing.headers(BODY, id=f"a.{seconds}", at=now, keys=[KEY])
    return Sent({**signed, signing.ID: "a"}, f"{seconds}.".encode() + BODY)


#: Each with the label that it is counted under, and the answer of the door.
UNPROVED: dict[str, tuple[Callable[[datetime], Sent], str, int]] = {
    "no signature": (_changed(signing.SIGNATURE, None), "missing", 401),
    "empty signature": (_changed(signing.SIGNATURE, ""), "missing", 401),
    "no version": (_signature(lambda one: one.removeprefix("v1,")), "malformed", 401),
    "another version": (_signature(lambda one: one.replace("v1,", "v1a,")), "malformed", 401),
    "upper-case version": (_signature(lambda one: one.replace("v1,", "V1,")), "malformed", 401),
    "comma between signatures": (_signature(lambda one: f"{one},{one}"), "malformed", 401),
    "hex for base64": (
        _signature(lambda one: "v1," + base64.b64decode(one.removeprefix("v1,")).hex()),
        "malformed",
        401,
    ),
    "url-safe base64": (_signature(lambda one: one[:-2] + "-="), "malformed", 401),
    "no padding": (_signature(lambda one: one.rstrip("=")), "malformed", 401),
    "cut": (_signature(lambda one: one[:20]), "malformed", 401),
    "last character changed": (
        _signature(lambda one: one[:3] + ("B" if one[3] == "A" else "A") + one[4:]),
        "wrong",
        401,
    ),
    "behind too many": (
        _signature(lambda one: " ".join(["v1," + "A" * 43 + "="] * 16 + [one])),
        "wrong",
        401,
    ),
    "another secret": (lambda now: right(now, key=OTHER_KEY), "wrong", 401),
    "the secret as text": (
        _with(lambda content: hmac.digest(SECRET.encode(), content, hashlib.sha256)),
        "wrong",
        401,
    ),
    "no secret": (_with(lambda content: hashlib.sha256(content).digest()), "wrong", 401),
    "the body alone": (_with(lambda _: hmac.digest(KEY, BODY, hashlib.sha256)), "wrong", 401),
    "another body": (lambda now: Sent(right(now).headers, BODY + b" "), "wrong", 401),
    "another id": (_changed(signing.ID, "msg_another"), "wrong", 401),
    "another time": (
        lambda now: Sent({**right(now).headers, signing.TIMESTAMP: str(int(now.timestamp()) + 1)}),
        "wrong",
        401,
    ),
    "the parts cut elsewhere": (_moved_dot, "wrong", 400),
    "six minutes old": (_at(timedelta(minutes=-6)), "late", 401),
    "a day old": (_at(timedelta(days=-1)), "late", 401),
    "six minutes ahead": (_at(timedelta(minutes=6)), "early", 401),
    "no id": (_changed(signing.ID, None), "header", 400),
    "empty id": (_changed(signing.ID, ""), "header", 400),
    "space in the id": (_changed(signing.ID, "a b"), "header", 400),
    "long id": (_changed(signing.ID, "a" * 256), "header", 400),
    "no timestamp": (_changed(signing.TIMESTAMP, None), "header", 400),
    "words for a timestamp": (_changed(signing.TIMESTAMP, "now"), "header", 400),
    "negative timestamp": (_changed(signing.TIMESTAMP, "-1"), "header", 400),
    "a date": (_changed(signing.TIMESTAMP, "2026-03-04T05:06:07Z"), "header", 400),
    "a fraction": (_changed(signing.TIMESTAMP, "1772600767.5"), "header", 400),
    "a very large timestamp": (_changed(signing.TIMESTAMP, "9" * 13), "header", 400),
    "full-width digits": (_changed(signing.TIMESTAMP, "１７７２６００７６７"), "header", 400),
}
EPOCH = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)

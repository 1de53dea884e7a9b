"""Recorded deliveries: raw bytes and headers, one for each event and action, and new ones signed alike."""

from __future__ import annotations

import functools
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: The public example of GitHub's page on validating deliveries.
SECRET = b"It's a Secret to Everybody"
APP_ID = 1234567
HOOK_ID = 4242
_DELIVERIES = Path(__file__).parent.parent / "fixtures" / "deliveries"


@dataclass(frozen=True, slots=True)
class Recorded:
    """One delivery as GitHub would send it."""

    event: str
    #: None for an event without actions.
    action: str | None
    #: Names as GitHub spells them.
    headers: Mapping[str, str]
    #: The raw bytes.
    body: bytes

    @property
    def name(self) -> str:
        """`event.action`: for test ids."""
        return self.event if self.action is None else f"{self.event}.{self.action}"

    @property
    def lower_headers(self) -> dict[str, str]:
        """The headers as the door hands them on: names in lower case."""
        return {name.lower(): value for name, value in self.headers.items()}

    def payload(self) -> dict[str, Any]:
        """The body read; each call gives a new one, free to be changed."""
        read: dict[str, Any] = json.loads(self.body)
        return read


def load(event: str, action: str | None = None) -> Recorded:
    """The recorded delivery of an event and action.

    :raises FileNotFoundError: if there is none.
    """
    return _load(_DELIVERIES / event / (action or "_"))


def all_recorded() -> list[Recorded]:
    """Every recorded delivery, by event and action."""
    return [_load(file.parent) for file in sorted(_DELIVERIES.glob("*/*/body"))]


@functools.cache
def _load(folder: Path) -> Recorded:
    return Recorded(
        event=folder.parent.name,
        action=None if folder.name == "_" else folder.name,
        headers=json.loads((folder / "headers.json").read_text()),
        body=(folder / "body").read_bytes(),
    )


def sign(body: bytes, secret: bytes = SECRET) -> str:
    """The value of `X-Hub-Signature-256`.

    https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
    """
    return f"sha256={hmac.digest(secret, body, hashlib.sha256).hex()}"


def resigned(
    recorded: Recorded,
    *,
    changes: Mapping[str, Any] | None = None,
    guid: str | None = None,
    body: bytes | None = None,
    secret: bytes = SECRET,
) -> Recorded:
    """The delivery with changes, signed again.

    :param changes: new values by dotted path, such as `{"pull_request.head.sha": "..."}`.
    :param guid: a new delivery id; the recorded one stays where none is given.
    :param body: raw bytes in place of the payload.
    """
    if body is None:
        body = recorded.body if not changes else _changed(recorded.payload(), changes)
    headers = dict(recorded.headers)
    headers.pop("X-Hub-Signature", None)
    headers["X-Hub-Signature-256"] = sign(body, secret)
    if guid is not None:
        headers["X-GitHub-Delivery"] = guid
    return Recorded(event=recorded.event, action=recorded.action, headers=headers, body=body)


def _changed(payload: dict[str, Any], changes: Mapping[str, Any]) -> bytes:
    for path, value in changes.items():
        *parents, last = path.split(".")
        target: Any = payload
        for parent in parents:
            target = target[parent]
        target[last] = value
    return json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode()

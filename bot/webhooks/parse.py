"""Reads a proved request into a delivery: pure; every request becomes a delivery or one of a closed set of refusals.

Besides, it reads what GitHub's API told the App itself, where a request never came.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from bot import errors, policy, signing
from bot.model import delivery as model
from bot.webhooks import ordering, shape, signature

#: GitHub caps payloads at 25 MB; the rest is for the form encoding's slack.
#: https://docs.github.com/en/webhooks/webhook-events-and-payloads
MAX_BODY_BYTES = 26 * 1024 * 1024
#: The specification of signed webhooks asks for less than 20 KiB; nothing of them is used but their type.
MAX_HOOK_BYTES = 1024 * 1024
_GUID = re.compile(r"[A-Za-z0-9-]{1,72}", re.ASCII)
_EVENT = re.compile(r"[A-Za-z0-9_]{1,100}", re.ASCII)
_TYPE = re.compile(r"[A-Za-z0-9_.-]{1,255}", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)
_UNPROVED = "The request does not prove that it comes from GitHub."
_HOOK_UNPROVED = "The request does not prove who sends it, or not lately."
#: What GitHub's API told of a request is kept by these headers; the others were about its bytes.
_KEPT = re.compile(r"x-github-[a-z-]+|user-agent", re.ASCII)
#: Of a signed webhook; all else says nothing, or may be a credential of something in between.
_KEPT_OF_HOOK = frozenset({"content-type", "user-agent", signing.ID, signing.TIMESTAMP, signing.SIGNATURE})
_GITHUB_TYPES = (model.JSON, model.FORM)


class _Typed(msgspec.Struct):
    """What is read of a signed webhook's body."""

    type: object = None


def refuse_early(
    headers: Mapping[str, str], *, max_bytes: int = MAX_BODY_BYTES, types: Sequence[str] = _GITHUB_TYPES
) -> None:
    """Refuse by the headers alone, before a byte of the body is read.

    :param headers: names in lower case.
    :raises errors.DeliveryRefused: 413 or 415.
    """
    if "content-encoding" in headers:
        raise errors.DeliveryRefused(
            "A compressed body is not taken: send it without Content-Encoding.", status=415, label="content_encoding"
        )
    if model.media_type(headers) not in types:
        raise errors.DeliveryRefused(f"Send the body as {' or '.join(types)}.", status=415, label="content_type")
    declared = headers.get("content-length", "0")
    if not _NUMBER.fullmatch(declared) or int(declared) > max_bytes:
        raise too_large(max_bytes)


def too_large(max_bytes: int = MAX_BODY_BYTES) -> errors.DeliveryRefused:
    """The refusal of a body that is larger than any delivery."""
    return errors.DeliveryRefused(f"The body is larger than {max_bytes} bytes.", status=413, label="too_large")


def delivery(
    headers: Mapping[str, str],
    *,
    body: bytes,
    received_at: datetime,
    secrets: Sequence[bytes],
    app_id: int,
) -> tuple[model.VerifiedDelivery, int]:
    """Prove the request, then look inside.

    :param headers: names in lower case.
    :return: the delivery, and the position of the secret that proved it.
    :raises errors.DeliveryRefused: 400, 401 or 403.
    """
    secret = _prove(headers, body=body, secrets=secrets)
    is_marked = model.SOURCE in headers
    named = {name: value for name, value in headers.items() if name != model.SOURCE} if is_marked else headers
    return _read(named, body=body, received_at=received_at, app_id=app_id), secret


def recovered(
    headers: Mapping[str, str], *, body: bytes, received_at: datetime, app_id: int, source: str
) -> model.VerifiedDelivery:
    """Read what GitHub's API gave to the App itself, which is the proof; all else is checked as at the door.

    :param headers: of the request that GitHub made or would have made; names in lower case.
    :param body: the payload as JSON.
    :param source: how we came by it; `x-buildhook-source` bears it.
    :raises errors.DeliveryRefused: 400, 403 or 413.
    """
    if len(body) > MAX_BODY_BYTES:
        raise too_large()
    kept = {name: value for name, value in headers.items() if _KEPT.fullmatch(name)}
    marked = {**kept, "content-type": model.JSON, model.SOURCE: source}
    return _read(marked, body=body, received_at=received_at, app_id=app_id)


def signed(
    headers: Mapping[str, str], *, body: bytes, received_at: datetime, source: policy.Source
) -> tuple[model.VerifiedDelivery, int]:
    """Prove that a request comes from this source, then look inside for its type; nothing else of it is used.

    Its id here is made of the source and of the id that the sender gives, so that each has ids of its own.

    :param headers: names in lower case.
    :return: the delivery, and the position of the key that proved it.
    :raises errors.DeliveryRefused: 400 or 401.
    """
    try:
        proof = signing.verify(headers, body, keys=source.keys, now=received_at)
    except signing.HeaderInvalid as error:
        raise _malformed(str(error)) from None
    except signing.SignatureInvalid as error:
        raise errors.DeliveryRefused(_HOOK_UNPROVED, status=401, label=f"signature_{error.label}") from None
    try:
        shape.read(body)
    except ValueError as error:
        raise errors.DeliveryRefused(str(error), status=400, label="body") from error
    kind = msgspec.json.decode(body, type=_Typed).type
    digest = hashlib.sha256(f"{source.name}\0{proof.id}".encode()).hexdigest()
    made = model.VerifiedDelivery(
        guid=f"hook-{digest[:40]}",
        hook_id=0,
        event=model.HOOK,
        action=kind if isinstance(kind, str) and _TYPE.fullmatch(kind) else None,
        installation_id=None,
        repository_id=None,
        repository=source.repository,
        ordering_key=f"{model.HOOK}:{source.name}",
        received_at=received_at,
        headers={
            **{name: value for name, value in headers.items() if name in _KEPT_OF_HOOK},
            model.SOURCE: f"{model.HOOK}/{source.name}",
        },
        body=body,
    )
    return made, proof.key


def _read(headers: Mapping[str, str], *, body: bytes, received_at: datetime, app_id: int) -> model.VerifiedDelivery:
    _refuse_other_app(headers, app_id=app_id)
    guid = _required(headers, "x-github-delivery", _GUID)
    event = _required(headers, "x-github-event", _EVENT)
    hook = headers.get("x-github-hook-id", "0")
    if not _NUMBER.fullmatch(hook):
        raise _malformed("x-github-hook-id")
    try:
        head = shape.read(model.payload(headers=headers, body=body))
    except ValueError as error:
        raise errors.DeliveryRefused(str(error), status=400, label="body") from error
    hook_id = int(hook)
    return model.VerifiedDelivery(
        guid=guid,
        hook_id=hook_id,
        event=event,
        action=head.action,
        installation_id=head.installation_id,
        repository_id=head.repository_id,
        repository=head.repository,
        head_sha=head.head_sha,
        ordering_key=ordering.key(event, head=head, hook_id=hook_id, guid=guid),
        received_at=received_at,
        headers=headers,
        body=body,
    )


def _prove(headers: Mapping[str, str], *, body: bytes, secrets: Sequence[bytes]) -> int:
    try:
        return signature.verify(
            body,
            header=headers.get("x-hub-signature-256"),
            secrets=secrets,
            has_sha1="x-hub-signature" in headers,
        )
    except signature.SignatureInvalid as error:
        # One text for every cause: the sender learns nothing from it.
        raise errors.DeliveryRefused(_UNPROVED, status=401, label=f"signature_{error.label}") from None


def _refuse_other_app(headers: Mapping[str, str], *, app_id: int) -> None:
    target = headers.get("x-github-hook-installation-target-id")
    kind = headers.get("x-github-hook-installation-target-type", "integration")
    # Older servers send no target; a repository's own hook has the repository as target.
    if target is not None and (kind != "integration" or target != str(app_id)):
        raise errors.DeliveryRefused("The delivery is for another App.", status=403, label="other_app")


def _required(headers: Mapping[str, str], name: str, form: re.Pattern[str]) -> str:
    value = headers.get(name)
    if value is None or not form.fullmatch(value):
        raise _malformed(name)
    return value


def _malformed(name: str) -> errors.DeliveryRefused:
    return errors.DeliveryRefused(f"The header {name} is missing or malformed.", status=400, label="header")

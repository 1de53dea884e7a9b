"""A delivery: one webhook request as received, and what became of it."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import parse_qs

import msgspec

#: The content types that a webhook can be sent in.
JSON, FORM = "application/json", "application/x-www-form-urlencoded"
#: The header that bears where a delivery came from that GitHub did not send; in a request it says nothing.
SOURCE = "x-buildhook-source"
#: The event of a signed webhook; `SOURCE` then bears this word, a slash and the name of its source in the policy.
HOOK = "hook"


#: What `SOURCE` begins with where we made it: somebody asked for something on a page, or its time had come.
OWN = "own"
#: The events of those, as Actions calls them.
SCHEDULE, DISPATCH = "schedule", "workflow_dispatch"
#: Somebody let a build run on its page.
CONSENT = "consent"


class State(enum.StrEnum):
    """Where a delivery stands. `handled`, `ignored` and `parked` are final until a replay or a redelivery."""

    #: Stored and answered 202; nobody has looked at it yet.
    RECEIVED = "received"
    #: A dispatcher holds a lease on it.
    HANDLING = "handling"
    #: Its outcome is written.
    HANDLED = "handled"
    #: It cannot concern us; `reason` says why.
    IGNORED = "ignored"
    #: It failed or has to wait; it is due again at `next_attempt_at`.
    RETRYING = "retrying"
    #: It failed too often; `error` says how. A replay or a redelivery queues it again.
    PARKED = "parked"


#: States in which a delivery still has to be worked on, so it holds back later ones with the same ordering key.
UNFINISHED = frozenset({State.RECEIVED, State.HANDLING, State.RETRYING})


class VerifiedDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """A request whose signature was proved and whose body parsed: the only thing that the inbox takes.

    Only `bot.webhooks.parse` makes one of what comes from outside: `delivery` of a request, `recovered` of what
    GitHub's API told the App itself, `signed` of a source's webhook. `own` makes one of what we want ourselves.
    """

    #: `X-GitHub-Delivery`, 1 to 72 characters of `[A-Za-z0-9-]`.
    guid: str
    #: `X-GitHub-Hook-ID`, or 0 where the sender gave none.
    hook_id: int
    #: `X-GitHub-Event`.
    event: str
    #: The payload's `action`, or None for events without one.
    action: str | None
    #: The payload's `installation.id`.
    installation_id: int | None
    #: The payload's `repository.id`.
    repository_id: int | None
    #: The payload's `repository.full_name`: a label, never a key.
    repository: str | None
    #: The commit that it is about, where it is about one.
    head_sha: str | None = None
    #: Deliveries with the same key are handled strictly in the order received.
    ordering_key: str
    received_at: datetime
    #: All request headers as received; names in lower case.
    headers: Mapping[str, str]
    #: The raw bytes that were signed, or as GitHub's API gave them.
    body: bytes


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A stored delivery."""

    #: Order of arrival in this database, from 1.
    seq: int
    #: `X-GitHub-Delivery`: the id that GitHub's own pages show.
    id: str
    hook_id: int
    event: str
    action: str | None
    installation_id: int | None
    repository_id: int | None
    repository: str | None
    ordering_key: str
    received_at: datetime
    state: State
    #: Why it is ignored, what was decided, or what it waits for: a sentence for people.
    reason: str | None = None
    #: The last failure, a sentence for people.
    error: str | None = None
    #: How often handling was begun.
    attempts: int = 0
    next_attempt_at: datetime | None = None
    handled_at: datetime | None = None
    #: How often it was queued anew by a replay or a redelivery.
    generation: int = 1
    #: Fences writes: only the holder of the current epoch may finish the delivery.
    epoch: int = 0
    size_bytes: int = 0
    #: The sentences of the decision, in order.
    trail: tuple[str, ...] = ()
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    #: Empty where a list was asked for.
    body: bytes = b""
    #: The commit that it is about; None where a list was asked for, and of what versions before 0004 stored.
    head_sha: str | None = None


def payload(*, headers: Mapping[str, str], body: bytes) -> bytes:
    """The JSON within a body, which GitHub sends plain or as the form field `payload`.

    https://docs.github.com/en/webhooks/using-webhooks/creating-webhooks

    :param headers: names in lower case.
    :raises ValueError: if a form has no such field, or is not UTF-8.
    """
    if media_type(headers) != FORM:
        return body
    fields = parse_qs(body.decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="strict")
    given = fields.get("payload", [])
    if len(given) != 1:
        raise ValueError("the form needs one field named payload")
    return given[0].encode("utf-8")


def own(
    *,
    event: str,
    guid: str,
    body: bytes,
    repository: str,
    ordering_key: str,
    received_at: datetime,
    repository_id: int | None = None,
    installation_id: int | None = None,
) -> VerifiedDelivery:
    """A delivery that nobody sent.

    :param event: `SCHEDULE`, `DISPATCH` or `CONSENT`.
    :param guid: the same one for the same wish, so that it counts once.
    :param body: what its handler reads, as JSON.
    """
    return VerifiedDelivery(
        guid=guid,
        hook_id=0,
        event=event,
        action=None,
        installation_id=installation_id,
        repository_id=repository_id,
        repository=repository,
        ordering_key=ordering_key,
        received_at=received_at,
        headers={"content-type": JSON, SOURCE: f"{OWN}/{event}"},
        body=body,
    )


def is_own(headers: Mapping[str, str]) -> bool:
    """Whether we made it: GitHub signs no event's name, and has events of these names too."""
    return headers.get(SOURCE, "").startswith(f"{OWN}/")


def hook_source(headers: Mapping[str, str]) -> str | None:
    """The name of the source whose signed webhook a delivery is; None for one of GitHub's, whatever event it names."""
    family, _, name = headers.get(SOURCE, "").partition("/")
    return name if family == HOOK and name else None


def media_type(headers: Mapping[str, str]) -> str:
    """The content type without its parameters, in lower case."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()

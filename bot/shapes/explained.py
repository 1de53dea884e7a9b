"""Why something was built or not, as programs read it: what comes from outside stands apart, as `untrusted`."""

from __future__ import annotations

from bot.builds import explaining
from bot.model import audit, build, delivery
from bot.shapes.shape import Instant, S, Shape, taken


class Said(Shape, frozen=True, kw_only=True):
    """What was asked, and the answer: names and errors from outside may be in it."""

    subject: str
    answer: str


class DeliverySaid(Shape, frozen=True, kw_only=True):
    """Of a delivery, what comes from outside."""

    event: str
    action: str | None
    repository: str | None
    reason: str | None
    error: str | None
    trail: tuple[str, ...]


class ToldDelivery(Shape, frozen=True, kw_only=True):
    """A delivery that the answer rests on."""

    id: str
    state: delivery.State
    received_at: Instant
    handled_at: Instant | None
    next_attempt_at: Instant | None
    attempts: int
    installation_id: int | None
    repository_id: int | None
    untrusted: DeliverySaid


class BuildSaid(Shape, frozen=True, kw_only=True):
    """Of a build, what comes from outside."""

    repository: str
    ref: str
    title: str
    sender: str
    reason: str | None
    problems: tuple[build.Problem, ...]


class ToldBuild(Shape, frozen=True, kw_only=True):
    """A build that the answer rests on."""

    id: str
    event: str
    state: build.State
    trust: build.Trust
    generation: int
    repository_id: int
    installation_id: int
    pull_number: int | None
    head_sha: str
    base_sha: str | None
    sender_id: int
    delivery_id: str | None
    origin_id: str | None
    created_at: Instant
    started_at: Instant | None
    finished_at: Instant | None
    untrusted: BuildSaid


class PullSaid(Shape, frozen=True, kw_only=True):
    """Of a pull request, what comes from outside."""

    state: str
    head_ref: str
    base_ref: str


class ToldPull(Shape, frozen=True, kw_only=True):
    """The pull request that was asked about."""

    repository_id: int
    number: int
    head_repository_id: int | None
    head_sha: str
    base_sha: str
    author_id: int
    updated_at: Instant
    runs: bool
    untrusted: PullSaid


class EntrySaid(Shape, frozen=True, kw_only=True):
    """Of an entry of the audit, what comes from outside."""

    actor: str | None
    repository: str | None
    detail: str | None


class ToldEntry(Shape, frozen=True, kw_only=True):
    """An entry of the audit that the answer rests on."""

    id: int
    at: Instant
    action: audit.Action
    via: audit.Via
    actor_id: int | None
    repository_id: int | None
    pull_number: int | None
    build_id: str | None
    head_sha: str | None
    delivery_id: str | None
    untrusted: EntrySaid


class Explanation(Shape, frozen=True, kw_only=True):
    """The answer, and what it rests on."""

    kind: explaining.Kind
    cause: explaining.Cause
    advice: tuple[str, ...]
    commits: tuple[str, ...]
    deliveries: tuple[ToldDelivery, ...]
    builds: tuple[ToldBuild, ...]
    pull: ToldPull | None
    audit: tuple[ToldEntry, ...]
    untrusted: Said


def of_explanation(found: explaining.Explanation) -> Explanation:
    """An explanation."""
    facts = found.facts
    return Explanation(
        kind=found.question.kind,
        cause=found.cause,
        advice=found.advice,
        commits=facts.shas,
        deliveries=tuple(_apart(ToldDelivery, DeliverySaid, one) for one in facts.deliveries),
        builds=tuple(_apart(ToldBuild, BuildSaid, one) for one in facts.builds),
        pull=None if facts.pull is None else _apart(ToldPull, PullSaid, facts.pull),
        audit=tuple(_apart(ToldEntry, EntrySaid, one) for one in facts.entries),
        untrusted=Said(subject=found.question.text, answer=found.answer),
    )


def _apart(kind: type[S], outside: type[Shape], one: object) -> S:
    return taken(kind, one, untrusted=taken(outside, one))

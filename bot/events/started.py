"""`schedule` and `workflow_dispatch`: a time has come, or somebody started a build. The head of a ref is built.

Both are deliveries of our own making: what GitHub sends under these names is none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from gidgethub import sansio
from msgspec.structs import replace
from sqlalchemy.engine import Connection

from bot import errors, failpoint, trust
from bot.events import payloads, planning, push
from bot.events.context import Context
from bot.events.router import Router
from bot.github import Repository
from bot.model import build, delivery, outcome
from bot.pipelines import inputs, parse, plan
from bot.pipelines.document import Pipeline
from bot.store import builds

router = Router()

_BRANCHES, _TAGS = "refs/heads/", "refs/tags/"
_NOT_OURS = "It is not of our making, so nobody here asked for it."


class _Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """What the timer wrote."""

    schedule: str
    slot: str
    ref: payloads.Ref
    repository: payloads.Repository
    installation: payloads.Numbered


class _Dispatch(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody who starts a build asked for."""

    repository: payloads.FullName
    ref: str | None = None
    inputs: dict[str, str] = {}
    actor: str | None = None
    actor_id: int | None = None


class _Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What both come down to."""

    event: str
    cause: str
    title: str
    sender: str
    sender_id: int
    #: Gives what expressions may name of it; a sentence where the file does not want such a build.
    accept: Callable[[Pipeline], Mapping[str, Any] | str]


@router.register(delivery.SCHEDULE)
async def time_came(event: sansio.Event, context: Context) -> outcome.Outcome:
    """A time of the default branch's file has come."""
    if not delivery.is_own(context.delivery.headers):
        return outcome.ignored(_NOT_OURS)
    due = payloads.read(event, _Schedule)
    repository = context.repository(
        installation_id=due.installation.id, repository_id=due.repository.id, full_name=due.repository.full_name
    )

    def accept(pipeline: Pipeline) -> Mapping[str, Any] | str:
        if due.schedule not in pipeline.on[delivery.SCHEDULE].crons:
            return f"`on.schedule` does not name `{due.schedule}` any more."
        return {"schedule": due.schedule}

    wish = _Wish(
        event=delivery.SCHEDULE,
        cause=f"schedule:{due.schedule}:{due.slot}"[:512],
        title=f"Schedule {due.schedule}",
        sender="schedule",
        sender_id=0,
        accept=accept,
    )
    return await _build(wish, due.ref, context, repository, installation_id=due.installation.id)


@router.register(delivery.DISPATCH)
async def started(event: sansio.Event, context: Context) -> outcome.Outcome:
    """Somebody started a build by command, page or API."""
    if not delivery.is_own(context.delivery.headers):
        return outcome.ignored(_NOT_OURS)
    asked = payloads.read(event, _Dispatch)
    repository = await context.github.find_repository(asked.repository)
    if context.delivery.repository_id not in (None, repository.id):
        return outcome.ignored(f"{asked.repository} is another repository now than when it was asked for.")

    def accept(pipeline: Pipeline) -> Mapping[str, Any] | str:
        try:
            taken = inputs.taken(pipeline.on[delivery.DISPATCH].inputs, asked.inputs)
        except inputs.Refused as wrong:
            return str(wrong)
        return {"inputs": taken}

    wish = _Wish(
        event=delivery.DISPATCH,
        cause=f"dispatch:{context.delivery.id}",
        title=f"Started by {asked.actor or 'hand'}",
        sender=asked.actor or "operator",
        sender_id=asked.actor_id or 0,
        accept=accept,
    )
    ref = asked.ref or repository.default_branch or "main"
    full = ref if ref.startswith("refs/") else f"{_BRANCHES}{ref}"
    return await _build(wish, full, context, repository, installation_id=repository.installation_id)


async def _build(
    wish: _Wish, ref: str, context: Context, repository: Repository, *, installation_id: int
) -> outcome.Outcome:
    head = await _get_head(repository, ref)
    if head is None:
        return outcome.ignored(f"{repository.full_name} has no `{ref}`.")
    own, generation = await context.store.read(_look, repository.id, wish.cause, head)
    if own is not None:
        return outcome.Outcome(trail=(f"Build {own.id} already answers this.",))
    content = await repository.get_file(planning.PIPELINE_PATH, ref=head)
    await failpoint.pause("plan.after_config_fetch")
    if content is None:
        return outcome.ignored(f"There is no `{planning.PIPELINE_PATH}` at {head}.")
    facts = trust.schedule(ref) if wish.event == delivery.SCHEDULE else trust.dispatch(ref)
    verdict = trust.decide(facts)
    template = build.Build(
        id=context.new_id(),
        repository_id=repository.id,
        installation_id=installation_id,
        repository=await repository.get_name(),
        event=wish.event,
        ref=ref,
        head_sha=head,
        title=wish.title[:255],
        sender=wish.sender,
        sender_id=wish.sender_id,
        trust=verdict.trust,
        delivery_id=context.delivery.id,
        cause=wish.cause,
        created_at=context.now(),
    )
    maker = planning.Maker(template=template, new_id=context.new_id, now=context.now(), note=context.note)
    made = _made(maker, content, wish)
    if isinstance(made, str):
        return outcome.ignored(made)
    trail = (verdict.reason, f"`{ref}` of {template.repository} stands at {head}.", push.told(made))
    return outcome.Outcome(trail=trail, builds=(replace(made, follows=generation),))


def _made(maker: planning.Maker, content: bytes, wish: _Wish) -> outcome.NewBuild | str:
    parsed = parse.parse(content, path=planning.PIPELINE_PATH)
    if parsed.pipeline is None or parsed.problems:
        return maker.broken(parsed.problems)
    if wish.event not in parsed.pipeline.on:
        return f"`on` does not name `{wish.event}`."
    payload = wish.accept(parsed.pipeline)
    if isinstance(payload, str):
        return payload
    asked = replace(maker, template=replace(maker.template, payload=payload))
    made = asked.make(parsed.pipeline, plan.Facts(event=wish.event, ref=asked.template.ref))
    if made.problem is not None:
        return asked.impossible(made.problem)
    return asked.planned(made) if made.verdict == plan.Verdict.RUNS else asked.left_out(made)


async def _get_head(repository: Repository, ref: str) -> str | None:
    try:
        if ref.startswith(_TAGS):
            return await repository.get_tag(ref.removeprefix(_TAGS))
        return await repository.get_branch_head(ref.removeprefix(_BRANCHES))
    except errors.NotFound:
        return None


def _look(connection: Connection, repository_id: int, cause: str, head: str) -> tuple[build.Build | None, int]:
    latest = builds.find_latest(connection, repository_id=repository_id, head_sha=head)
    own = builds.find_by_cause(connection, repository_id=repository_id, cause=cause)
    return own, latest.generation if latest is not None else 0

"""`hook`: a source of the policy sent a signed webhook. The head of the ref that the policy names for it is built.

Nothing of its body says what is built: repository and ref stand in the policy file, the commit is asked of GitHub.
"""

from __future__ import annotations

import msgspec
from gidgethub import sansio
from msgspec.structs import replace
from sqlalchemy.engine import Connection

from bot import failpoint, policy, trust
from bot.events import planning, push
from bot.events.context import Context
from bot.events.router import Router
from bot.github import Repository
from bot.model import build, delivery, outcome
from bot.pipelines import plan
from bot.store import builds

router = Router()

_BRANCHES, _TAGS = "refs/heads/", "refs/tags/"


class _Known(msgspec.Struct, frozen=True, kw_only=True):
    """What the store knows of the webhook and of the commit."""

    #: The build that this webhook made already.
    own: build.Build | None
    #: The newest generation of the commit.
    generation: int


@router.register(delivery.HOOK)
async def webhook_of_a_source(event: sansio.Event, context: Context) -> outcome.Outcome:
    """A source wants the head of its ref built."""
    name = delivery.hook_source(context.delivery.headers)
    if name is None:
        # The event's name is not signed: this is something else that GitHub sent.
        return outcome.ignored("It did not come to `/hooks/`, so it is no source's webhook.")
    source = context.policy.sources.get(name)
    if source is None:
        return outcome.ignored(f"The policy names no source `{name}` any more.")
    kind = context.delivery.action
    if source.events and kind not in source.events:
        told = f"the type `{kind}`" if kind is not None else "no type"
        return outcome.ignored(f"It has {told}: the policy takes {_listed(source)} of `{name}`.")
    repository = await context.github.find_repository(source.repository)
    head = await _get_head(repository, source.ref)
    if head is None:
        return outcome.ignored(f"{repository.full_name} has no `{source.ref}`.")
    return await _build(source, context, repository, head)


async def _get_head(repository: Repository, ref: str) -> str | None:
    if ref.startswith(_TAGS):
        return await repository.get_tag(ref.removeprefix(_TAGS))
    return await repository.get_branch_head(ref.removeprefix(_BRANCHES))


async def _build(source: policy.Source, context: Context, repository: Repository, head: str) -> outcome.Outcome:
    cause = f"hook:{context.delivery.id}"
    known = await context.store.read(_look, repository.id, cause, head)
    if known.own is not None:
        return outcome.Outcome(trail=(f"Build {known.own.id} already answers this webhook.",))
    content = await repository.get_file(planning.PIPELINE_PATH, ref=head)
    await failpoint.pause("plan.after_config_fetch")
    if content is None:
        return outcome.ignored(f"There is no `{planning.PIPELINE_PATH}` at {head}.")
    verdict = trust.decide(trust.hook())
    template = build.Build(
        id=context.new_id(),
        repository_id=repository.id,
        installation_id=repository.installation_id,
        repository=repository.full_name,
        event=delivery.HOOK,
        ref=source.ref,
        head_sha=head,
        title=f"{context.delivery.action or 'A webhook'} from {source.name}",
        sender=source.name,
        trust=verdict.trust,
        delivery_id=context.delivery.id,
        cause=cause,
        created_at=context.now(),
    )
    maker = planning.Maker(template=template, new_id=context.new_id, now=context.now())
    made = planning.from_file(maker, content, plan.Facts(event=delivery.HOOK, ref=source.ref))
    if isinstance(made, str):
        return outcome.ignored(f"Nothing runs at {head}: {made}")
    trail = (verdict.reason, f"`{source.ref}` of {repository.full_name} stands at {head}.", push.told(made))
    return outcome.Outcome(trail=trail, builds=(replace(made, follows=known.generation),))


def _look(connection: Connection, repository_id: int, cause: str, head: str) -> _Known:
    latest = builds.find_latest(connection, repository_id=repository_id, head_sha=head)
    return _Known(
        own=builds.find_by_cause(connection, repository_id=repository_id, cause=cause),
        generation=latest.generation if latest is not None else 0,
    )


def _listed(source: policy.Source) -> str:
    return " or ".join(f"`{one}`" for one in sorted(source.events))

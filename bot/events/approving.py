"""Consent to a build that waits: whoever may push gives it, for the one commit that they saw.

What runs is what was shown: the head and the base of the build that waited, and the plan with the digest that it
proposed. Who gave it is asked about anew, now and whenever the consent is used again.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from bot import errors, trust
from bot.builds import commands
from bot.events import payloads, planning
from bot.events.context import Context
from bot.github import Repository
from bot.model import approval, audit, build, outcome
from bot.pipelines import parse, plan
from bot.store import builds

_VIAS = {"button": audit.Via.BUTTON, "comment": audit.Via.COMMENT, "page": audit.Via.PAGE}


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody wants a build to run that waits."""

    build: build.Build
    sender: payloads.Account
    repository: payloads.Repository
    installation_id: int
    #: The commit that they say they saw.
    head_sha: str
    #: `button`, `comment`, `label` or `page`.
    via: str
    #: Which consent they give.
    consent: approval.Consent = approval.Consent.APPROVE


async def approve(asked: Asked, context: Context) -> outcome.Outcome:
    """The build that runs by this consent, or why there is none; whoever was refused reads it in the check."""
    waiting = asked.build
    refusal = await _why_not(asked, context)
    if refusal is not None:
        if not _is_waiting(waiting):
            return outcome.Outcome(trail=(refusal,))
        return outcome.Outcome(
            trail=(refusal,),
            remarks=(outcome.Remark(build_id=waiting.id, text=refusal),),
            audit=(_entry(asked, waiting, audit.Action.REFUSE, detail=refusal),),
        )
    made = await _plan(waiting, _repository(asked, context))
    if isinstance(made, str):
        return outcome.Outcome(trail=(made,), remarks=(outcome.Remark(build_id=waiting.id, text=made),))
    new = _build(asked, made, context)
    text = f"{asked.sender.login} ({asked.sender.id}) let {waiting.head_sha} run: build {new.build.id}."
    action = audit.Action.APPROVE if asked.consent == approval.Consent.APPROVE else audit.Action.RUN_ANYWAY
    return outcome.Outcome(trail=(text,), builds=(new,), audit=(_entry(asked, new.build, action, detail=text),))


async def _why_not(asked: Asked, context: Context) -> str | None:
    waiting = asked.build
    if not _is_waiting(waiting) or waiting.proposal is None:
        return f"Build {waiting.id} does not wait for anybody's consent."
    if waiting.proposal.consent != asked.consent:
        return f"Build {waiting.id} waits for another kind of consent: {waiting.proposal.consent}."
    if asked.head_sha != waiting.head_sha:
        return f"The consent is for {asked.head_sha}, and build {waiting.id} is of {waiting.head_sha}."
    latest = await context.store.read(
        builds.find_latest, repository_id=waiting.repository_id, head_sha=waiting.head_sha
    )
    if latest is None or latest.id != waiting.id:
        return f"Build {waiting.id} is not the newest of its commit any more."
    repository = _repository(asked, context)
    permission = await repository.get_permission(asked.sender.login, user_id=asked.sender.id)
    if not trust.may_write(permission):
        who = f"{asked.sender.login} ({asked.sender.id}) has the permission `{permission}` here"
        return f"{who}: only somebody who may push can let this commit run."
    return await _why_changed(waiting, repository)


async def _why_changed(waiting: build.Build, repository: Repository) -> str | None:
    if waiting.pull_number is None:
        return None
    try:
        pull = await repository.get_pull(waiting.pull_number)
    except errors.NotReachable:
        return f"Pull request #{waiting.pull_number} is gone."
    if pull.state != "open":
        return f"Pull request #{waiting.pull_number} is {pull.state}."
    if pull.head_sha != waiting.head_sha:
        return (
            f"Pull request #{waiting.pull_number} stands at {pull.head_sha} now: look at that commit, and approve it."
        )
    if pull.base_ref != waiting.base_ref:
        return f"Pull request #{waiting.pull_number} is for `{pull.base_ref}` now: look at it again, and approve that."
    return None


def _is_waiting(one: build.Build) -> bool:
    is_whole = one.trust == build.Trust.TRUSTED or (one.pull_number is not None and one.base_sha is not None)
    return one.state == build.State.WAITING and is_whole


async def _plan(waiting: build.Build, repository: Repository) -> plan.Plan | str:
    """The plan that was shown, or why it cannot be had."""
    assert waiting.proposal is not None
    if not waiting.proposal.jobs:
        return f"There is nothing to run: the base has no `{planning.PIPELINE_PATH}`."
    content = await repository.get_file(planning.PIPELINE_PATH, ref=waiting.proposal.file_sha)
    parsed = parse.parse(content or b"", path=planning.PIPELINE_PATH)
    if content is None or parsed.pipeline is None or parsed.problems:
        return f"`{planning.PIPELINE_PATH}` at {waiting.proposal.file_sha} cannot be read any more."
    made = planning.anyway(parsed.pipeline, waiting)
    if plan.digest(made) != waiting.proposal.digest:
        return "What would run is not what was shown: push again, or reopen the pull request, to have it shown anew."
    return made


def _build(asked: Asked, made: plan.Plan, context: Context) -> outcome.NewBuild:
    waiting = asked.build
    template = replace(
        waiting,
        id=context.new_id(),
        state=build.State.QUEUED,
        reason=None,
        proposal=None,
        origin_id=waiting.id,
        delivery_id=context.delivery.id,
        cause=f"{asked.consent}:{waiting.id}",
        created_at=context.now(),
    )
    maker = planning.Maker(template=template, new_id=context.new_id, now=context.now())
    reason = f"{asked.sender.login} let this commit run."
    return replace(
        maker.planned(made),
        approval=_given(asked, context) if waiting.trust == build.Trust.UNTRUSTED else None,
        follows=waiting.generation,
        supersedes_reason=reason,
    )


def _given(asked: Asked, context: Context) -> approval.Approval:
    waiting = asked.build
    assert waiting.proposal is not None
    assert waiting.pull_number is not None
    assert waiting.base_sha is not None
    return approval.Approval(
        id=context.new_id(),
        repository_id=waiting.repository_id,
        pull_number=waiting.pull_number,
        head_sha=waiting.head_sha,
        base_ref=waiting.base_ref or "",
        base_sha=waiting.base_sha,
        digest=waiting.proposal.digest,
        approver_id=asked.sender.id,
        approver=asked.sender.login,
        via=asked.via,
        delivery_id=context.delivery.id,
        created_at=context.now(),
    )


def _entry(asked: Asked, of: build.Build, action: audit.Action, *, detail: str) -> outcome.Entry:
    via = _VIAS.get(asked.via, audit.Via.EVENT)
    by = audit.Actor(via=via, id=asked.sender.id, name=asked.sender.login)
    return commands.about_build(of, action, by=by, detail=detail)


def _repository(asked: Asked, context: Context) -> Repository:
    return context.repository(
        installation_id=asked.installation_id,
        repository_id=asked.repository.id,
        full_name=asked.repository.full_name,
    )

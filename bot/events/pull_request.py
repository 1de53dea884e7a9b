"""`pull_request`: its head is built, merged with its base; a newer push or its end stops what runs for it.

https://docs.github.com/en/webhooks/webhook-events-and-payloads#pull_request
"""

from __future__ import annotations

from dataclasses import dataclass

from gidgethub import sansio
from sqlalchemy.engine import Connection

from bot import failpoint, trust
from bot.events import payloads, planning
from bot.events.context import Context
from bot.events.push import told
from bot.events.router import Router
from bot.github import Repository
from bot.model import build, job, outcome
from bot.pipelines import parse, plan
from bot.store import builds, jobs, pulls

router = Router()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What the store knows of a pull request."""

    pull: build.Pull | None
    #: The build that this very state of the pull request already made.
    own: build.Build | None
    #: The newest build of the same head, whatever made it.
    latest: build.Build | None
    latest_jobs: tuple[job.Job, ...]


@router.register("pull_request", action="opened")
@router.register("pull_request", action="reopened")
@router.register("pull_request", action="synchronize")
@router.register("pull_request", action="ready_for_review")
async def head_changed(event: sansio.Event, context: Context) -> outcome.Outcome:
    """A pull request has a head that should be built."""
    return await _build(payloads.read(event, payloads.PullRequest), context)


@router.register("pull_request", action="edited")
async def base_changed(event: sansio.Event, context: Context) -> outcome.Outcome:
    """A pull request was edited: only another base branch matters."""
    changed = payloads.read(event, payloads.PullRequest)
    if changed.changes.base is None:
        return outcome.ignored("The edit did not change the base branch.")
    return await _build(changed, context)


@router.register("pull_request", action="closed")
async def closed(event: sansio.Event, context: Context) -> outcome.Outcome:
    """A pull request was merged or closed: nobody waits for its builds any more."""
    ended = payloads.read(event, payloads.PullRequest)
    if ended.installation is None:
        return outcome.ignored("The delivery names no installation of the App.")
    seen = _seen(ended, runs=False)
    known = await context.store.read(_known, ended)
    late = await _why_late(ended, known, _repository(ended, context, installation_id=ended.installation.id))
    if late is not None:
        return outcome.Outcome(trail=(late,))
    stop = outcome.Cancellation(
        reason=f"Pull request #{ended.number} was closed.",
        repository_id=ended.repository.id,
        pull_number=ended.number,
    )
    return outcome.Outcome(trail=(stop.reason,), cancellations=(stop,), pulls=(seen,))


async def _build(changed: payloads.PullRequest, context: Context) -> outcome.Outcome:
    pull = changed.pull_request
    if changed.installation is None:
        return outcome.ignored("The delivery names no installation of the App.")
    if pull.number != changed.number or pull.base.repo is None or pull.base.repo.id != changed.repository.id:
        return outcome.ignored("The payload contradicts itself about which pull request it is.")
    known = await context.store.read(_known, changed)
    repository = _repository(changed, context, installation_id=changed.installation.id)
    late = await _why_late(changed, known, repository)
    if late is not None:
        return outcome.Outcome(trail=(late,))
    if pull.state != "open":
        return outcome.Outcome(trail=(f"Pull request #{changed.number} is {pull.state}: nothing is built.",))
    if known.own is not None and not _may_start_again(changed, known.own):
        return outcome.Outcome(trail=(f"Build {known.own.id} already tests this head on this base.",))
    decided = await _decide(changed, context, repository, known)
    return _whole(changed, decided)


def _repository(changed: payloads.PullRequest, context: Context, *, installation_id: int) -> Repository:
    return context.repository(
        installation_id=installation_id,
        repository_id=changed.repository.id,
        full_name=changed.repository.full_name,
    )


async def _why_late(changed: payloads.PullRequest, known: _Known, repository: Repository) -> str | None:
    """Why the event tells nothing new, if it came behind a newer one; GitHub does not promise any order."""
    pull, last = changed.pull_request, known.pull
    if last is None or last.updated_at < pull.updated_at:
        return None
    if last.updated_at > pull.updated_at:
        return _older(changed, last)
    if (last.head_sha, last.base_ref, last.state) == (pull.head.sha, pull.base.ref, pull.state):
        return None
    # Both happened within one second, which is as fine as the times are: only GitHub knows which was last.
    now = await repository.get_pull(changed.number)
    if (now.head_sha, now.base_ref, now.state) == (pull.head.sha, pull.base.ref, pull.state):
        return None
    return f"Pull request #{changed.number} changed again within the same second: this is not how it stands now."


async def _decide(
    changed: payloads.PullRequest, context: Context, repository: Repository, known: _Known
) -> outcome.NewBuild | str:
    pull = changed.pull_request
    verdict = await _verdict(pull, repository)
    maker = _maker(changed, context, trust_given=verdict.trust)
    if verdict.action != trust.Action.RUN:
        if not await _has_file(repository, pull.base.sha) and not await _has_file(repository, pull.head.sha):
            return _no_file()
        return maker.waiting(verdict.reason)
    content = await repository.get_file(planning.PIPELINE_PATH, ref=pull.head.sha)
    await failpoint.pause("plan.after_config_fetch")
    if content is None:
        return maker.deleted() if await _has_file(repository, pull.base.sha) else _no_file()
    parsed = parse.parse(content, path=planning.PIPELINE_PATH)
    if parsed.pipeline is None or parsed.problems:
        return maker.broken(parsed.problems)
    made = plan.make(
        parsed.pipeline,
        plan.Facts(event="pull_request", ref=maker.template.ref, base_ref=pull.base.ref),
    )
    if made.reason is not None:
        # Where the file decides about pull requests at all, a check that says so keeps nobody waiting for one;
        # but it must not hide what a push of the same commit told.
        says_so = "pull_request" in parsed.pipeline.on and known.latest is None
        return maker.skipped(made.reason) if says_so else made.reason
    if await _is_proved_equal(made, changed, repository, known):
        assert known.latest is not None
        return maker.taken_over(made, origin=known.latest, origin_jobs=known.latest_jobs)
    return maker.planned(made)


async def _verdict(pull: payloads.Pull, repository: Repository) -> trust.Verdict:
    head_id = pull.head.repo.id if pull.head.repo is not None else None
    base_id = pull.base.repo.id if pull.base.repo is not None else 0
    permission = None
    if head_id == base_id:
        permission = await repository.get_permission(pull.user.login, user_id=pull.user.id)
    return trust.decide(
        trust.pull_request(head_repository_id=head_id, base_repository_id=base_id, author_permission=permission)
    )


async def _has_file(repository: Repository, sha: str) -> bool:
    return await repository.get_file(planning.PIPELINE_PATH, ref=sha) is not None


async def _is_proved_equal(
    made: plan.Plan, changed: payloads.PullRequest, repository: Repository, known: _Known
) -> bool:
    """Whether the newest build of this head passed, with equal jobs, on the very tree that the merge would give."""
    latest = known.latest
    if latest is None or latest.state != build.State.PASSED or latest.base_sha is not None:
        return False
    if latest.trust != build.Trust.TRUSTED or latest.plan_digest != plan.digest(made):
        return False
    # Where the head contains the base, merging them gives the head's own tree.
    return await repository.is_ahead_only(base=changed.pull_request.base.sha, head=changed.pull_request.head.sha)


def _whole(changed: payloads.PullRequest, decided: outcome.NewBuild | str) -> outcome.Outcome:
    superseded = outcome.Cancellation(
        reason=f"A newer push to pull request #{changed.number} took its place.",
        repository_id=changed.repository.id,
        pull_number=changed.number,
        except_head_sha=changed.pull_request.head.sha,
    )
    if isinstance(decided, str):
        seen = _seen(changed, runs=False)
        return outcome.Outcome(trail=(decided,), is_ignored=True, pulls=(seen,), cancellations=(superseded,))
    return outcome.Outcome(
        trail=(told(decided),),
        builds=(decided,),
        pulls=(_seen(changed, runs=bool(decided.jobs)),),
        cancellations=(superseded,),
    )


def _known(connection: Connection, changed: payloads.PullRequest) -> _Known:
    repository_id, head_sha = changed.repository.id, changed.pull_request.head.sha
    latest = builds.find_latest(connection, repository_id=repository_id, head_sha=head_sha)
    own = builds.find_by_cause(connection, repository_id=repository_id, cause=_cause(changed))
    again = builds.find_by_cause(connection, repository_id=repository_id, cause=_cause_of_reopening(changed))
    return _Known(
        pull=pulls.find(connection, repository_id=repository_id, number=changed.number),
        own=again or own,
        latest=latest,
        latest_jobs=tuple(jobs.list_of_builds(connection, [latest.id])) if latest is not None else (),
    )


def _may_start_again(changed: payloads.PullRequest, own: build.Build) -> bool:
    # Closing cancelled it; opening again asks for it again, once for each time.
    is_cancelled = own.state == build.State.CANCELLED
    return changed.action == "reopened" and is_cancelled and own.cause != _cause_of_reopening(changed)


def _cause(changed: payloads.PullRequest) -> str:
    return f"pull:{changed.number}:{changed.pull_request.head.sha}:{changed.pull_request.base.sha}"


def _cause_of_reopening(changed: payloads.PullRequest) -> str:
    return f"{_cause(changed)}:{changed.pull_request.updated_at.timestamp():.0f}"


def _seen(changed: payloads.PullRequest, *, runs: bool) -> build.Pull:
    pull = changed.pull_request
    return build.Pull(
        repository_id=changed.repository.id,
        number=changed.number,
        head_repository_id=pull.head.repo.id if pull.head.repo is not None else None,
        head_ref=pull.head.ref,
        head_sha=pull.head.sha,
        base_ref=pull.base.ref,
        base_sha=pull.base.sha,
        author_id=pull.user.id,
        state=pull.state,
        updated_at=pull.updated_at,
        runs=runs,
    )


def _maker(changed: payloads.PullRequest, context: Context, *, trust_given: build.Trust) -> planning.Maker:
    assert changed.installation is not None
    pull = changed.pull_request
    template = build.Build(
        id=context.new_id(),
        repository_id=changed.repository.id,
        installation_id=changed.installation.id,
        repository=changed.repository.full_name,
        event="pull_request",
        ref=f"refs/pull/{changed.number}/merge",
        head_sha=pull.head.sha,
        base_sha=pull.base.sha,
        base_ref=pull.base.ref,
        head_ref=pull.head.ref,
        pull_number=changed.number,
        title=pull.title[:255],
        sender=changed.sender.login,
        sender_id=changed.sender.id,
        trust=trust_given,
        delivery_id=context.delivery.id,
        cause=_cause_of_reopening(changed) if changed.action == "reopened" else _cause(changed),
        created_at=context.now(),
    )
    return planning.Maker(template=template, new_id=context.new_id, now=context.now())


def _no_file() -> str:
    return f"There is no `{planning.PIPELINE_PATH}`, neither in the base nor in the head."


def _older(changed: payloads.PullRequest, known: build.Pull) -> str:
    return (
        f"This is older ({changed.pull_request.updated_at:%Y-%m-%d %H:%M:%S} UTC) than what is known of pull request"
        f" #{changed.number} ({known.updated_at:%Y-%m-%d %H:%M:%S} UTC)."
    )

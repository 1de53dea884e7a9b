"""`pull_request`: its head is built, merged with its base; a newer push or its end stops what runs for it.

https://docs.github.com/en/webhooks/webhook-events-and-payloads#pull_request
"""

from __future__ import annotations

import msgspec
from gidgethub import sansio
from msgspec.structs import replace
from sqlalchemy.engine import Connection

from bot import failpoint, trust
from bot.events import changes, leaving, payloads, planning, pull_trust, pull_values, pull_words
from bot.events.context import Context
from bot.events.push import LATE_AFTER, tests_pull, told
from bot.events.router import Router
from bot.github import Repository
from bot.github import pulls as pulls_of_github
from bot.model import approval, build, job, outcome
from bot.pipelines import parse, plan, skipping
from bot.pipelines.document import Pipeline
from bot.store import builds, jobs, pulls

router = Router()


class _Known(msgspec.Struct, frozen=True, kw_only=True):
    """What the store knows of a pull request."""

    pull: build.Pull | None
    #: The build that this very state of the pull request already made.
    own: build.Build | None
    #: Whether that one was stopped, or is about to be.
    is_own_stopped: bool
    #: The newest build of the same head, whatever made it.
    latest: build.Build | None
    latest_jobs: tuple[job.Job, ...]


@router.register("pull_request", action="opened")
@router.register("pull_request", action="reopened")
@router.register("pull_request", action="synchronize")
@router.register("pull_request", action="ready_for_review")
@router.register("pull_request", action="converted_to_draft")
@router.register("pull_request", action="labeled")
async def head_changed(event: sansio.Event, context: Context) -> outcome.Outcome:
    """A pull request has a head that should be built, or is another kind of request for it."""
    return await _build(payloads.read(event, payloads.PullRequest), context)


@router.register("pull_request", action="edited")
async def base_changed(event: sansio.Event, context: Context) -> outcome.Outcome:
    """A pull request was edited: only another base branch matters."""
    changed = payloads.read(event, payloads.PullRequest)
    if changed.changes is None or changed.changes.base is None:
        return outcome.ignored("The edit did not change the base branch.")
    return await _build(changed, context)


@router.register("pull_request", action="closed")
async def closed(event: sansio.Event, context: Context) -> outcome.Outcome:
    """A pull request was merged or closed: nobody waits for its builds any more."""
    ended = payloads.read(event, payloads.PullRequest)
    if ended.installation is None:
        return outcome.ignored("The delivery names no installation of the App.")
    context.note(pull_words.told(ended))
    known = await context.store.read(_known, ended)
    repository = _repository(ended, context, installation_id=ended.installation.id)
    late = await _why_late(ended, known, context, repository)
    if late is not None:
        return outcome.Outcome(trail=(late,))
    stop = outcome.Cancellation(
        reason=f"Pull request #{ended.number} was closed.",
        repository_id=ended.repository.id,
        pull_number=ended.number,
    )
    seen = pull_values.seen(ended, known.pull, runs=False, shows_builds=_shows(known))
    pull = ended.pull_request
    if pull.merged and pull.merge_commit_sha == pull.head.sha:
        # The base stands at this very commit now, and its push is covered by what runs for the pull request.
        stop = replace(stop, except_head_sha=pull.head.sha)
        return outcome.Outcome(trail=(stop.reason,), cancellations=(stop,), pulls=(seen,))
    stops = await _stops_of_branch(ended, context, repository, reason=stop.reason, spared=())
    content = await repository.get_file(planning.PIPELINE_PATH, ref=pull.head.sha) if stops else None
    if content is None or not tests_pull(content, base_ref=pull.base.ref):
        stops = ()
    return outcome.Outcome(trail=(stop.reason,), cancellations=(stop, *stops), pulls=(seen,))


async def _stops_of_branch(
    changed: payloads.PullRequest, context: Context, repository: Repository, *, reason: str, spared: tuple[str, ...]
) -> tuple[outcome.Cancellation, ...]:
    """What pushes to its branch started before: had it been heard of in time, its own builds were in their place."""
    head, repository_id = changed.pull_request.head, changed.repository.id
    if head.repo is None or head.repo.id != repository_id:
        return ()
    ref = f"refs/heads/{head.ref}"
    found = await context.store.read(builds.list_unfinished, repository_id=repository_id, ref=ref)
    shas = {one.head_sha for one in found} - set(spared)
    if shas - {head.sha}:
        # Whatever the branch got since is for those who go on with it.
        now = await repository.get_branch_head(head.ref)
        shas -= {now} - {head.sha}
    return tuple(
        outcome.Cancellation(reason=reason, repository_id=repository_id, ref=ref, head_sha=sha) for sha in sorted(shas)
    )


async def _build(changed: payloads.PullRequest, context: Context) -> outcome.Outcome:
    pull = changed.pull_request
    if changed.installation is None:
        return outcome.ignored("The delivery names no installation of the App.")
    if pull.number != changed.number or pull.base.repo is None or pull.base.repo.id != changed.repository.id:
        return outcome.ignored("The payload contradicts itself about which pull request it is.")
    context.note(pull_words.told(changed))
    known = await context.store.read(_known, changed)
    context.note(pull_words.told_known(changed, known.latest))
    repository = _repository(changed, context, installation_id=changed.installation.id)
    late = await _why_late(changed, known, context, repository)
    if late is not None:
        return outcome.Outcome(trail=(late,))
    if pull.state != "open":
        return outcome.Outcome(trail=(f"Pull request #{changed.number} is {pull.state}: nothing is built.",))
    if changed.action == "labeled" and (known.own is None or not leaving.is_left_out(known.own)):
        return outcome.ignored("Nothing of this pull request waits for a label.")
    if known.own is not None and not _is_asked_again(changed, known):
        text = f"Build {known.own.id} already tests this head on this base."
        # That it was told again counts: an event between the two is older than this one.
        seen = pull_values.seen(changed, known.pull, runs=bool(known.own.plan_digest), shows_builds=_shows(known))
        stops = await _superseded(changed, context, repository, has_jobs=seen.runs)
        return outcome.Outcome(trail=(text,), pulls=(seen,), cancellations=stops)
    decided, shows_builds = await _decide(changed, context, repository, known)
    has_jobs = not isinstance(decided, str) and bool(decided.jobs) and not leaving.is_left_out(decided.build)
    seen = pull_values.seen(changed, known.pull, runs=has_jobs, shows_builds=shows_builds)
    stops = await _superseded(changed, context, repository, has_jobs=has_jobs)
    if known.own is not None and not isinstance(decided, str) and leaving.is_same(decided.build, known.own):
        decided = f"Build {known.own.id} says already why nothing runs: {decided.build.reason}"
    if isinstance(decided, str):
        return outcome.Outcome(trail=(decided,), is_ignored=True, pulls=(seen,), cancellations=stops)
    return outcome.Outcome(trail=(told(decided),), builds=(decided,), pulls=(seen,), cancellations=stops)


def _repository(changed: payloads.PullRequest, context: Context, *, installation_id: int) -> Repository:
    return context.repository(
        installation_id=installation_id,
        repository_id=changed.repository.id,
        full_name=changed.repository.full_name,
    )


async def _why_late(
    changed: payloads.PullRequest, known: _Known, context: Context, repository: Repository
) -> str | None:
    """Why the event tells nothing new, if it came behind a newer one; GitHub does not promise any order."""
    pull, last, at = changed.pull_request, known.pull, payloads.utc(changed.pull_request.updated_at)
    if last is not None and last.updated_at > at:
        return pull_words.older(changed, last)
    if last is not None and last.updated_at == at and _is_as_told(last, pull):
        return None
    if last is not None and last.updated_at == at:
        # Both happened within one second, which is as fine as the times are: only GitHub knows which was last.
        text = f"Pull request #{changed.number} changed again within the same second: this is not how it stands now."
    elif context.delivery.received_at - at > LATE_AFTER:
        text = f"This came late, and pull request #{changed.number} changed since: this is not how it stands now."
    else:
        return None
    return None if _is_as_told(await repository.get_pull(changed.number), pull) else text


def _is_as_told(seen: build.Pull | pulls_of_github.Pull, pull: payloads.Pull) -> bool:
    return (seen.head_sha, seen.base_ref, seen.state) == (pull.head.sha, pull.base.ref, pull.state)


async def _decide(
    changed: payloads.PullRequest, context: Context, repository: Repository, known: _Known
) -> tuple[outcome.NewBuild | str, bool]:
    """What is built, or why nothing is; and whether a comment shows it."""
    pull = changed.pull_request
    judged = await pull_trust.judge(changed, context, repository, known.pull)
    verdict = judged.verdict
    context.note(f"Trust: {verdict.reason}")
    maker = pull_values.maker(
        changed,
        context,
        repository=await repository.get_name(),
        trust_given=verdict.trust,
        cause=_new_cause(changed, known),
    )
    content = await repository.get_file(planning.PIPELINE_PATH, ref=pull.head.sha)
    await failpoint.pause("plan.after_config_fetch")
    is_trusted = verdict.file_from == trust.FileFrom.HEAD
    of_base = None
    if not is_trusted or content is None:
        of_base = await repository.get_file(planning.PIPELINE_PATH, ref=pull.base.sha)
    if content is None and of_base is None:
        return pull_words.no_file(), False
    shows_builds = await pull_values.shows_builds(
        repository, base_sha=pull.base.sha, of_base=of_base, of_head=content if is_trusted else None
    )
    if not is_trusted:
        return await _proposed(verdict, of_base, content, maker, changed, repository, known), shows_builds
    if content is None:
        return maker.deleted(), shows_builds
    return await _planned(content, maker, changed, repository, known, message=judged.message), shows_builds


async def _proposed(
    verdict: trust.Verdict,
    of_base: bytes | None,
    of_head: bytes | None,
    maker: planning.Maker,
    changed: payloads.PullRequest,
    repository: Repository,
    known: _Known,
) -> outcome.NewBuild | str:
    """What the base's file makes of it: a build that waits, unless that file decides that nothing has to run."""
    base_sha = changed.pull_request.base.sha
    if of_base is None:
        reason = f"{verdict.reason} The base has no `{planning.PIPELINE_PATH}`, so nothing will run then either."
        return maker.waiting(reason, planning.nothing_to_run(file_sha=base_sha, of_head=of_head))
    parsed = parse.parse(of_base, path=planning.PIPELINE_PATH)
    if parsed.pipeline is None or parsed.problems:
        return maker.broken(parsed.problems)
    facts = await _facts(parsed.pipeline, changed, repository, known)
    made = maker.make(parsed.pipeline, facts)
    if made.problem is not None:
        return maker.impossible(made.problem)
    if made.verdict == plan.Verdict.NOT_NAMED:
        return made.reason or ""
    # Whoever changes the file does not get around it by what it says now.
    if made.verdict == plan.Verdict.SKIPPED and of_base == of_head and _told_before(known) is None:
        return leaving.of_pull(maker, parsed.pipeline, made, latest=None)
    proposal = maker.proposal(
        parsed.pipeline, consent=approval.Consent.APPROVE, file_sha=base_sha, deciding=of_base, at_head=of_head
    )
    return maker.waiting(verdict.reason, proposal)


async def _planned(
    content: bytes,
    maker: planning.Maker,
    changed: payloads.PullRequest,
    repository: Repository,
    known: _Known,
    *,
    message: str | None,
) -> outcome.NewBuild | str:
    parsed = parse.parse(content, path=planning.PIPELINE_PATH)
    if parsed.pipeline is None or parsed.problems:
        return maker.broken(parsed.problems)
    facts = await _facts(parsed.pipeline, changed, repository, known)
    made = maker.make(parsed.pipeline, facts)
    if made.problem is not None:
        return maker.impossible(made.problem)
    if made.verdict != plan.Verdict.RUNS:
        return leaving.of_pull(maker, parsed.pipeline, made, latest=_told_before(known))
    if await changes.is_proved_equal(made, changed, repository, known.latest):
        assert known.latest is not None
        return maker.taken_over(made, origin=known.latest, origin_jobs=known.latest_jobs)
    if message is None:
        message = await repository.find_message(changed.pull_request.head.sha)
    why = skipping.why_skipped(message or "")
    return maker.planned(made) if why is None else maker.asking(why, parsed.pipeline)


async def _facts(
    pipeline: Pipeline, changed: payloads.PullRequest, repository: Repository, known: _Known
) -> plan.Facts:
    facts = changes.facts_of_pull(changed, is_known=known.pull is not None)
    if _lost_consent(changed, known):
        # Whatever the event is called, what ran before has to be asked for anew.
        facts = replace(facts, action=None)
    return await changes.of_pull(pipeline, facts, repository, changed.pull_request)


def _told_before(known: _Known) -> build.State | None:
    """How the newest build of the head stands; None where there is none, or only one of this that came to nothing."""
    if known.latest is None:
        return None
    is_own = known.own is not None and known.own.id == known.latest.id
    return None if is_own and (known.is_own_stopped or leaving.is_left_out(known.latest)) else known.latest.state


async def _superseded(
    changed: payloads.PullRequest, context: Context, repository: Repository, *, has_jobs: bool
) -> tuple[outcome.Cancellation, ...]:
    """Builds of its other heads, and where it has jobs of its own those of older pushes to its branch."""
    reason = f"A newer push to pull request #{changed.number} took its place."
    head_sha = changed.pull_request.head.sha
    of_pull = outcome.Cancellation(
        reason=reason, repository_id=changed.repository.id, pull_number=changed.number, except_head_sha=head_sha
    )
    if not has_jobs:
        return (of_pull,)
    return (of_pull, *await _stops_of_branch(changed, context, repository, reason=reason, spared=(head_sha,)))


def _known(connection: Connection, changed: payloads.PullRequest) -> _Known:
    repository_id, head_sha = changed.repository.id, changed.pull_request.head.sha
    latest = builds.find_latest(connection, repository_id=repository_id, head_sha=head_sha)
    causes = (_cause_of_return(changed), _cause(changed))
    made = [builds.find_by_cause(connection, repository_id=repository_id, cause=cause) for cause in causes]
    own = next((one for one in made if one is not None), None)
    base_sha = changed.pull_request.base.sha
    if latest is not None and (latest.pull_number, latest.base_sha) == (changed.number, base_sha):
        # It may have been asked for again since.
        own = latest
    return _Known(
        pull=pulls.find(connection, repository_id=repository_id, number=changed.number),
        own=own,
        is_own_stopped=own is not None and _is_stopped(connection, own),
        latest=latest,
        latest_jobs=tuple(jobs.list_of_builds(connection, [latest.id])) if latest is not None else (),
    )


def _shows(known: _Known) -> bool:
    return known.pull is not None and known.pull.shows_builds


def _is_stopped(connection: Connection, own: build.Build) -> bool:
    return own.state == build.State.CANCELLED or jobs.is_ending(connection, own.id)


def _may_start_again(changed: payloads.PullRequest, known: _Known) -> bool:
    # Closing stopped it, or another head or base did: whoever comes back to it asks for it again, once for each time.
    is_return = known.pull is None or not _is_as_told(known.pull, changed.pull_request)
    return known.is_own_stopped and is_return


def _is_asked_again(changed: payloads.PullRequest, known: _Known) -> bool:
    """Whether the event asks for another build of the same head on the same base."""
    is_left_out = known.own is not None and leaving.is_left_out(known.own)
    return is_left_out or _may_start_again(changed, known) or _lost_consent(changed, known)


def _lost_consent(changed: payloads.PullRequest, known: _Known) -> bool:
    """Whether somebody's consent let its build run, which ended with this: it has to be given again."""
    own = known.own
    if own is None or own.trust == build.Trust.TRUSTED or own.state == build.State.WAITING or known.pull is None:
        return False
    return known.pull.is_draft != (changed.pull_request.draft is True)


def _cause(changed: payloads.PullRequest) -> str:
    return f"pull:{changed.number}:{changed.pull_request.head.sha}:{changed.pull_request.base.sha}"


def _new_cause(changed: payloads.PullRequest, known: _Known) -> str:
    if known.own is None:
        return _cause_of_return(changed) if changed.action == "reopened" else _cause(changed)
    # Times are whole seconds, and within one a pull request may come back twice.
    generation = known.latest.generation if known.latest is not None else 0
    return f"{_cause_of_return(changed)}:{generation}"


def _cause_of_return(changed: payloads.PullRequest) -> str:
    return f"{_cause(changed)}:{payloads.utc(changed.pull_request.updated_at).timestamp():.0f}"

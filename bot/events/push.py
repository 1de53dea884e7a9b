"""`push`: a branch or tag moved. Its head is built, unless a build of the same commit already does that.

https://docs.github.com/en/webhooks/webhook-events-and-payloads#push
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
from gidgethub import sansio
from msgspec.structs import replace
from sqlalchemy.engine import Connection

from bot import failpoint, trust
from bot.events import changes, excerpt, leaving, payloads, planning
from bot.events.context import Context
from bot.events.router import Router
from bot.github import Repository
from bot.model import approval, build, outcome
from bot.pipelines import parse, plan
from bot.store import builds, jobs, pulls, schedules

router = Router()

_NO_COMMIT = frozenset("0")
#: A push to a pull request's branch comes as two deliveries; the pull request's is the one to build.
PULL_PATIENCE = timedelta(seconds=5)
#: An event that came this late is compared with what GitHub has by then: nobody waits for an old head.
LATE_AFTER = timedelta(hours=1)
_BRANCHES, _TAGS = "refs/heads/", "refs/tags/"


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """A branch or tag that stands at a commit now, whichever event told it."""

    ref: str
    #: A commit, also for a tag that is an object of its own.
    head_sha: str
    #: The commit before; None where it is new or the event does not say.
    before: str | None
    #: First line of the commit's message, where the event has it.
    title: str
    sender: payloads.Account
    repository: payloads.PushedRepository
    installation_id: int
    #: The whole message, where the event has it.
    message: str = ""

    @property
    def branch(self) -> str | None:
        """Name of the branch, None for a tag."""
        return self.ref.removeprefix(_BRANCHES) if self.ref.startswith(_BRANCHES) else None

    @property
    def at(self) -> datetime | None:
        """When it was pushed, in whole seconds; None where the event does not say."""
        return payloads.moment(self.repository.pushed_at)

    @property
    def cause(self) -> str:
        """The same one whichever event told it."""
        return f"push:{self.head_sha}:{self.ref}"[:512]


class _Known(msgspec.Struct, frozen=True, kw_only=True):
    """What the store knows of the commit and its branch."""

    #: A build that makes another one needless.
    covering: build.Build | None
    #: The newest generation of the commit.
    generation: int
    #: Whether the commit before is known to be good, so that only what changed since has to be looked at.
    is_before_good: bool
    #: The branch's pull request, as last heard of: an open one that we run, else the one that was closed last.
    pull: build.Pull | None


@router.register("push")
async def ref_moved(event: sansio.Event, context: Context) -> outcome.Outcome:
    """A branch or tag was pushed or deleted."""
    push = payloads.read(event, payloads.Push)
    if push.deleted or set(push.after) == _NO_COMMIT:
        return outcome.ignored(f"`{push.ref}` was deleted: there is nothing to build. What is under way of it ends.")
    if push.installation is None:
        return outcome.ignored("The delivery names no installation of the App.")
    head = push.head_commit
    message = (head.message if head is not None else None) or ""
    is_tag = push.ref.startswith(_TAGS)
    moved = Moved(
        ref=push.ref,
        # Of an annotated tag `after` is the tag itself, which has no checks.
        head_sha=head.id if is_tag and head is not None and head.id is not None else push.after,
        before=None if set(push.before) == _NO_COMMIT else push.before,
        title=message.partition("\n")[0][:255],
        sender=push.sender,
        repository=push.repository,
        installation_id=push.installation.id,
        message=message,
    )
    context.note(
        f"`{push.sender.login}` (id {push.sender.id}) pushed `{push.ref}` of {push.repository.full_name}"
        f" (id {push.repository.id}, installation {push.installation.id})"
        f" from {moved.before or 'nothing'} to {moved.head_sha}."
    )
    return await decide(moved, context)


async def _schedules(moved: Moved, context: Context) -> tuple[outcome.Schedules, ...]:
    """The times that the default branch's file names, where they are others than those that are known."""
    if moved.branch is None or moved.branch != moved.repository.default_branch:
        return ()
    repository = _repository(moved, context)
    content = await repository.get_file(planning.PIPELINE_PATH, ref=moved.head_sha)
    crons: tuple[str, ...] = ()
    if content is not None:
        pipeline = parse.parse(content, path=planning.PIPELINE_PATH).pipeline
        if pipeline is None:
            # Broken, it says nothing of what is wanted.
            return ()
        crons = pipeline.on["schedule"].crons if "schedule" in pipeline.on else ()
    known = await context.store.read(schedules.list_of_repository, moved.repository.id)
    if {one.cron for one in known} == set(crons):
        return ()
    if await repository.get_branch_head(moved.branch or "") != moved.head_sha:
        # A later push tells.
        return ()
    return (
        outcome.Schedules(
            repository_id=moved.repository.id,
            installation_id=moved.installation_id,
            repository=await repository.get_name(),
            ref=moved.ref,
            crons=crons,
        ),
    )


def _repository(moved: Moved, context: Context) -> Repository:
    return context.repository(
        installation_id=moved.installation_id,
        repository_id=moved.repository.id,
        full_name=moved.repository.full_name,
    )


async def decide(moved: Moved, context: Context) -> outcome.Outcome:
    """What follows from a branch or tag that stands at another commit now."""
    verdict = trust.decide(trust.push(moved.ref))
    if verdict.action == trust.Action.REFUSE:
        return outcome.ignored(verdict.reason)
    known = await context.store.read(_known, moved)
    context.note(_told_known(known, moved))
    if known.covering is not None:
        covering = known.covering
        text = f"Build {covering.id} ({covering.event}) already covers {moved.head_sha}."
        # What this very push wanted came with the build that it made; a pull request's build says nothing of it.
        wanted = () if covering.cause == moved.cause else await _schedules(moved, context)
        return outcome.Outcome(trail=(text,), schedules=wanted)
    due_at = context.delivery.received_at + PULL_PATIENCE
    pull = known.pull
    if pull is not None and pull.state == "open" and not _is_before(moved, pull) and context.now() < due_at:
        reason = f"The delivery of pull request #{pull.number} for the same push is waited for."
        return outcome.Outcome(trail=(reason,), look_again_at=due_at)
    repository = _repository(moved, context)
    late = await _why_late(moved, context, repository)
    if late is not None:
        return outcome.Outcome(trail=(late,))
    decided = await _build(moved, context, repository, known)
    return replace(decided, schedules=await _schedules(moved, context))


def _known(connection: Connection, moved: Moved) -> _Known:
    repository_id = moved.repository.id
    latest = builds.find_latest(connection, repository_id=repository_id, head_sha=moved.head_sha)
    own = builds.find_by_cause(connection, repository_id=repository_id, cause=moved.cause)
    covers = own is None and latest is not None and is_good_for_all(connection, latest)
    pull = None
    if moved.branch is not None:
        pull = pulls.find_open_of_branch(connection, repository_id=repository_id, branch=moved.branch)
        pull = pull or pulls.find_closed_of_branch(connection, repository_id=repository_id, branch=moved.branch)
    return _Known(
        covering=latest if covers else own,
        generation=latest.generation if latest is not None else 0,
        is_before_good=_is_before_good(connection, moved),
        pull=pull,
    )


def _is_before_good(connection: Connection, moved: Moved) -> bool:
    if moved.before is None:
        return False
    before = builds.find_latest(connection, repository_id=moved.repository.id, head_sha=moved.before)
    good = {build.State.PASSED, build.State.SKIPPED}
    return before is not None and before.trust == build.Trust.TRUSTED and before.state in good


def _told_known(known: _Known, moved: Moved) -> str:
    if known.covering is not None:
        text = f"The newest build of {moved.head_sha} is {known.covering.id}, {known.covering.state}."
    elif known.generation:
        text = f"Run {known.generation} of {moved.head_sha} is the newest that is known; it does not answer this."
    else:
        text = f"No build of {moved.head_sha} is known."
    pull = known.pull
    return (
        text
        if pull is None
        else f"{text} Pull request #{pull.number} of the branch is {pull.state} at {pull.head_sha}."
    )


def _is_before(moved: Moved, pull: build.Pull) -> bool:
    """Whether the push is older than the last that was heard of its pull request, which has another head by then."""
    return moved.at is not None and moved.at < pull.updated_at and moved.head_sha != pull.head_sha


def is_good_for_all(connection: Connection, latest: build.Build) -> bool:
    """Whether a build tells of its commit what any branch or tag of the repository wants to know.

    One that was stopped, because its pull request was closed by this very push for instance, tells nothing, and neither
    does one of which nothing ran.
    """
    if latest.waits_for == approval.Consent.RUN_ANYWAY:
        return False
    if latest.trust != build.Trust.TRUSTED or latest.state in {build.State.CANCELLED, build.State.SKIPPED}:
        return False
    return not jobs.is_ending(connection, latest.id)


async def _why_late(moved: Moved, context: Context, repository: Repository) -> str | None:
    """Why nobody waits for it any more, if it came so late that its branch has moved on."""
    if moved.branch is None or moved.at is None or context.delivery.received_at - moved.at <= LATE_AFTER:
        return None
    context.note(f"It was pushed at {moved.at:%Y-%m-%d %H:%M:%S} UTC, over an hour before it came: GitHub is asked.")
    now = await repository.get_branch_head(moved.branch)
    if now == moved.head_sha:
        return None
    stands = f"stands at {now}" if now is not None else "is gone"
    hours = (context.delivery.received_at - moved.at).total_seconds() / 3600
    return f"This came {hours:.1f} hours late, and `{moved.ref}` {stands}: an old head is not built."


async def _build(moved: Moved, context: Context, repository: Repository, known: _Known) -> outcome.Outcome:
    content = await repository.get_file(planning.PIPELINE_PATH, ref=moved.head_sha)
    await failpoint.pause("plan.after_config_fetch")
    maker = _maker(moved, context, repository=await repository.get_name())
    if content is None:
        if moved.before is None or not await repository.get_file(planning.PIPELINE_PATH, ref=moved.before):
            return outcome.ignored(f"There is no `{planning.PIPELINE_PATH}` at {moved.head_sha}.")
        trail = (f"The push deleted `{planning.PIPELINE_PATH}`.",)
        return outcome.Outcome(trail=trail, builds=(replace(maker.deleted(), follows=known.generation),))
    if known.pull is not None and await _is_obsolete(moved, known.pull, content, repository):
        return outcome.Outcome(trail=(_obsolete(known.pull),))
    made = await _made(moved, maker, content, repository, known)
    if isinstance(made, str):
        return outcome.ignored(made)
    return outcome.Outcome(trail=(told(made),), builds=(replace(made, follows=known.generation),))


async def _made(
    moved: Moved, maker: planning.Maker, content: bytes, repository: Repository, known: _Known
) -> outcome.NewBuild | str:
    parsed = parse.parse(content, path=planning.PIPELINE_PATH)
    if parsed.pipeline is None or parsed.problems:
        return maker.broken(parsed.problems)
    pushed = leaving.Pushed(
        branch=moved.branch,
        is_default_branch=moved.branch is not None and moved.branch == moved.repository.default_branch,
        message=moved.message,
        is_first=known.generation == 0,
    )
    # Where a push alone says whether its commit may be merged, what failed before must not be passed over by what did
    # not change since.
    is_alone = not pushed.is_default_branch and not leaving.is_for_pulls(parsed.pipeline, pushed)
    before = moved.before if known.is_before_good or not is_alone else None
    facts = plan.Facts(event="push", ref=moved.ref)
    facts = await changes.of_push(parsed.pipeline, facts, repository, before=before, head=moved.head_sha)
    made = maker.make(parsed.pipeline, facts)
    if made.problem is not None:
        return maker.impossible(made.problem)
    return leaving.of_push(maker, parsed.pipeline, made, pushed)


async def _is_obsolete(moved: Moved, pull: build.Pull, content: bytes, repository: Repository) -> bool:
    """Whether the push is older than what is known of its branch's pull request: that one's builds took its place."""
    if moved.at is None or moved.branch is None or moved.at > pull.updated_at:
        return False
    if not tests_pull(content, base_ref=pull.base_ref):
        return False
    if moved.head_sha == pull.head_sha:
        return pull.state == "closed"
    # Within one second only GitHub knows which was last.
    return moved.at < pull.updated_at or await repository.get_branch_head(moved.branch) != moved.head_sha


def _obsolete(pull: build.Pull) -> str:
    what = "was closed" if pull.state == "closed" else f"stands at {pull.head_sha}"
    return f"Pull request #{pull.number} of this branch {what} since: nobody waits for this push."


def tests_pull(content: bytes, *, base_ref: str) -> bool:
    """Whether a pipeline file has jobs for pull requests into this branch, so that those are what is waited for."""
    parsed = parse.parse(content, path=planning.PIPELINE_PATH)
    if parsed.pipeline is None or parsed.problems:
        return False
    return plan.make(parsed.pipeline, plan.Facts(event="pull_request", ref="", base_ref=base_ref)).reason is None


def _maker(moved: Moved, context: Context, *, repository: str) -> planning.Maker:
    verdict = trust.decide(trust.push(moved.ref))
    context.note(f"Trust: {verdict.reason}")
    template = build.Build(
        id=context.new_id(),
        repository_id=moved.repository.id,
        installation_id=moved.installation_id,
        repository=repository,
        event="push",
        ref=moved.ref,
        head_sha=moved.head_sha,
        title=moved.title,
        sender=moved.sender.login,
        sender_id=moved.sender.id,
        trust=verdict.trust,
        payload=excerpt.of_push(
            ref=moved.ref,
            before=moved.before,
            after=moved.head_sha,
            message=moved.message,
            repository=moved.repository,
            sender=moved.sender,
            default_branch=moved.repository.default_branch,
        ),
        delivery_id=context.delivery.id,
        cause=moved.cause,
        created_at=context.now(),
    )
    return planning.Maker(template=template, new_id=context.new_id, now=context.now(), note=context.note)


def told(made: outcome.NewBuild) -> str:
    """The sentence of a decision to build."""
    if made.build.state == build.State.QUEUED:
        count = "1 job" if len(made.jobs) == 1 else f"{len(made.jobs)} jobs"
        return f"Build {made.build.id} starts with {count}."
    return f"Build {made.build.id}: {made.build.reason}"

"""Why something was built or not: what is known of a delivery, a commit or a pull request in, one sentence out. Pure.

One meaning for the command line and the page.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable
from datetime import datetime

import msgspec
from msgspec.structs import replace

from bot.model import audit, budget, build, delivery, job
from bot.store.about import Load, Queue
from bot.store.pauses import Pause

_PULL = re.compile(r"([A-Za-z0-9._-]{1,100}/[A-Za-z0-9._-]{1,100})#([1-9][0-9]{0,17})", re.ASCII)
_SHA = re.compile(r"[0-9a-fA-F]{7,64}", re.ASCII)
_DELIVERY = re.compile(r"[A-Za-z0-9-]{1,72}", re.ASCII)
#: What can be asked, for people.
USAGE = (
    "Ask for a delivery by its id, for a commit by at least 7 digits of its SHA, or for a pull request as owner/repo#7."
)
#: Events that are about a commit itself, not about what is shown of it.
_TELLING = frozenset({"push", "pull_request", "create", "merge_group"})
#: Handling these takes no calls, so no limit of GitHub's delays them.
_FREE = frozenset({"installation", "installation_repositories", "ping"})


class Kind(enum.StrEnum):
    """What a question is about."""

    DELIVERY = "delivery"
    COMMIT = "commit"
    PULL = "pull"


class Cause(enum.StrEnum):
    """The answer in one word of a closed set, for programs."""

    #: The SHA begins like several commits.
    AMBIGUOUS = "ambiguous"
    #: Nothing is stored about it.
    NO_DELIVERY = "no_delivery"
    #: The App may not work for the account.
    SUSPENDED = "suspended"
    #: The delivery waits to be handled.
    IN_QUEUE = "in_queue"
    #: The delivery is put off, e.g. until another one comes.
    PUT_OFF = "put_off"
    #: Handling the delivery failed, and it is tried again.
    RETRYING = "retrying"
    #: Handling the delivery failed for good.
    PARKED = "parked"
    #: The delivery concerns nothing that is built.
    IGNORED = "ignored"
    #: The delivery was handled, and no build of its own followed.
    NOTHING_FOLLOWS = "nothing_follows"
    WAITS_FOR_APPROVAL = "waits_for_approval"
    BROKEN_FILE = "broken_file"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    #: The build's jobs wait for a place.
    QUEUED = "queued"
    RUNNING = "running"
    #: The build ended, well or not.
    ENDED = "ended"


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody asks for."""

    kind: Kind
    #: A delivery's id, the beginning of a SHA in lower case, or `owner/repo#7`.
    text: str
    #: Of a pull request.
    repository: str = ""
    number: int = 0


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What the database knows of what was asked for."""

    now: datetime
    #: Commits that the SHA may mean, where it means several.
    shas: tuple[str, ...] = ()
    #: Newest first, without bodies.
    deliveries: tuple[delivery.Delivery, ...] = ()
    #: Newest first.
    builds: tuple[build.Build, ...] = ()
    #: Of the newest build.
    jobs: tuple[job.Job, ...] = ()
    #: Why GitHub does not show the newest build as it should.
    check_errors: tuple[str, ...] = ()
    pull: build.Pull | None = None
    #: Newest first.
    entries: tuple[audit.Stored, ...] = ()
    #: The installation of the repository.
    installation: build.Installation | None = None
    #: What GitHub lets it do.
    budget: budget.Budget | None = None
    #: Of the newest delivery, where that waits to be handled.
    queue: Queue | None = None
    #: Of the newest build, where that is queued.
    load: Load | None = None
    pause: Pause | None = None
    #: Whether a service runs on this database.
    is_served: bool = False
    #: Whether anything was ever heard of the repository.
    is_repository_known: bool = False
    #: When the newest delivery of all came.
    newest_at: datetime | None = None
    #: Installations that the App may not work for.
    inactive: tuple[build.Installation, ...] = ()


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """The answer, and what it rests on."""

    question: Question
    cause: Cause
    #: One sentence, or two; names and errors from outside may be in it.
    answer: str
    #: What to do, or what may be the cause: our words only.
    advice: tuple[str, ...] = ()
    facts: Facts


class _Verdict(msgspec.Struct, frozen=True):
    cause: Cause
    answer: str
    advice: tuple[str, ...] = ()


def read(text: str) -> Question | None:
    """What is asked for; None where it is nothing that can be asked, see `USAGE`."""
    asked = text.strip()
    if (pull := _PULL.fullmatch(asked)) is not None:
        return Question(kind=Kind.PULL, text=asked, repository=pull[1], number=int(pull[2]))
    if _SHA.fullmatch(asked):
        return Question(kind=Kind.COMMIT, text=asked.lower())
    return Question(kind=Kind.DELIVERY, text=asked) if _DELIVERY.fullmatch(asked) else None


def explain(question: Question, facts: Facts) -> Explanation:
    """The answer to a question."""
    found = _verdict(question, facts)
    return Explanation(question=question, cause=found.cause, answer=found.answer, advice=found.advice, facts=facts)


def _verdict(question: Question, facts: Facts) -> _Verdict:
    if facts.shas:
        return _Verdict(Cause.AMBIGUOUS, f"{len(facts.shas)} commits begin with {question.text}: give more of it.")
    if question.kind == Kind.DELIVERY and facts.deliveries:
        return _of_delivery(facts.deliveries[0], facts)
    found = _newest(facts)
    if question.kind != Kind.PULL or facts.pull is None:
        return found or _missing(question, facts)
    about = f"Pull request #{question.number} is {facts.pull.state} at {facts.pull.head_sha}."
    if found is None:
        return _Verdict(Cause.NOTHING_FOLLOWS, f"{about} Nothing of it was built.")
    return replace(found, answer=f"{about} {found.answer}")


def _newest(facts: Facts) -> _Verdict | None:
    """What the newest thing says that counts: a delivery that is not done with, else a build, else a delivery."""
    made = facts.builds[0] if facts.builds else None
    telling = [one for one in facts.deliveries if one.event in _TELLING] or list(facts.deliveries)
    newest = telling[0] if telling else None
    is_open = newest is not None and newest.state in {*delivery.UNFINISHED, delivery.State.PARKED}
    if newest is not None and (made is None or (is_open and newest.received_at > made.created_at)):
        return _of_delivery(newest, facts)
    return None if made is None else _of_build(made, facts)


def _of_delivery(one: delivery.Delivery, facts: Facts) -> _Verdict:
    at = "" if one.next_attempt_at is None else f"{one.next_attempt_at:%Y-%m-%d %H:%M:%S} UTC"
    own = [made for made in facts.builds if made.delivery_id == one.id]
    match one.state:
        case delivery.State.PARKED:
            text = f"Handling delivery {one.id} failed, so nothing was built: {one.error}"
            again = f"Mend what the error names, then handle it again: buildhook deliveries replay {one.id}"
            return _Verdict(Cause.PARKED, text, (again,))
        case delivery.State.RETRYING if one.error is not None:
            return _Verdict(Cause.RETRYING, f"Handling it failed, and is tried again at {at}: {one.error}")
        case delivery.State.RETRYING:
            return _Verdict(Cause.PUT_OFF, f"{one.reason} It is looked at again at {at}.")
        case delivery.State.RECEIVED | delivery.State.HANDLING:
            return _in_queue(one, facts)
        case delivery.State.IGNORED if _is_inactive(facts.installation):
            assert facts.installation is not None
            return _Verdict(Cause.SUSPENDED, f"{_inactive(facts.installation)}, so nothing was built: {one.reason}")
        case delivery.State.IGNORED:
            return _Verdict(Cause.IGNORED, f"Nothing was built: {one.reason}")
        case _ if own:
            return _of_build(own[0], facts)
        case _:
            return _Verdict(Cause.NOTHING_FOLLOWS, f"Nothing was built for it: {one.reason}")


def _in_queue(one: delivery.Delivery, facts: Facts) -> _Verdict:
    limit, before = facts.budget, facts.queue or Queue(ahead=0, held_by=None)
    if one.state == delivery.State.HANDLING:
        return _Verdict(Cause.IN_QUEUE, f"Delivery {one.id} is being handled right now.")
    if (idle := _idle(facts, f"Delivery {one.id} waits to be handled", Cause.IN_QUEUE)) is not None:
        return idle
    until = limit.blocked_until if limit is not None else None
    if limit is not None and until is not None and until > facts.now and one.event not in _FREE:
        text = f"Delivery {one.id} waits until {until:%Y-%m-%d %H:%M:%S} UTC: {limit.blocked_text}"
        return _Verdict(Cause.IN_QUEUE, text, ("The page /budget shows what GitHub lets each installation do.",))
    if before.held_by is not None:
        text = f"Delivery {one.id} waits for delivery {before.held_by}, which came before it about the same thing."
        return _Verdict(Cause.IN_QUEUE, text, (f"See why that one waits: buildhook explain {before.held_by}",))
    ahead = f"{_count(before.ahead, 'delivery', 'deliveries')} came before it." if before.ahead else "It is the next."
    return _Verdict(Cause.IN_QUEUE, f"Delivery {one.id} waits to be handled. {ahead}")


def _idle(facts: Facts, what: str, cause: Cause) -> _Verdict | None:
    """Why nothing goes on at all, where nothing does."""
    if facts.pause is not None:
        return _Verdict(cause, f"{what}: the service stands still ({facts.pause.reason}).")
    if not facts.is_served:
        return _Verdict(cause, f"{what}: no service runs on this database.", ("Start it: buildhook serve",))
    return None


def _of_build(made: build.Build, facts: Facts) -> _Verdict:
    found = _BY_STATE.get(made.state, _ended)(made, facts)
    if not facts.check_errors or made.id != facts.builds[0].id:
        return found
    return replace(found, answer=f"{found.answer} GitHub does not show it: {facts.check_errors[0]}")


def _waiting(made: build.Build, facts: Facts) -> _Verdict:
    return _Verdict(Cause.WAITS_FOR_APPROVAL, f"Build {made.id} waits for approval. {made.reason or ''}".strip())


def _queued(made: build.Build, facts: Facts) -> _Verdict:
    if (idle := _idle(facts, f"Build {made.id} is queued", Cause.QUEUED)) is not None:
        return idle
    waiting = [one for one in facts.jobs if one.build_id == made.id and one.state == job.State.QUEUED]
    why = made.reason or next((one.reason for one in waiting if one.reason), None)
    if why is not None:
        return _Verdict(Cause.QUEUED, f"Build {made.id} is queued. {why}")
    before = facts.load or Load(running=0, ahead=0)
    # What others have here is not theirs to know: not even how much it is.
    of_all = "" if before.is_whole else "it waits for a place; of what you may see "
    text = f"Build {made.id} is queued: {of_all}{_count(before.running, 'job runs', 'jobs run')}"
    if before.ahead:
        text += f", and {_count(before.ahead, 'job of an older build waits', 'jobs of older builds wait')} before it"
    return _Verdict(Cause.QUEUED, f"{text}.", ("More run side by side with a higher BUILDHOOK_MAX_JOBS.",))


def _running(made: build.Build, facts: Facts) -> _Verdict:
    since = "" if made.started_at is None else f" since {made.started_at:%Y-%m-%d %H:%M:%S} UTC"
    return _Verdict(Cause.RUNNING, f"Build {made.id} runs{since}.")


def _failed(made: build.Build, facts: Facts) -> _Verdict:
    if not made.problems:
        return _ended(made, facts)
    first = made.problems[0]
    text = f"{made.reason} The first, in line {first.line}, column {first.column}: {first.text}"
    return _Verdict(Cause.BROKEN_FILE, text, ("Mend the file, and push: a new commit is a new build.",))


def _skipped(made: build.Build, facts: Facts) -> _Verdict:
    return _Verdict(Cause.SKIPPED, f"Build {made.id} was skipped. {made.reason or ''}".strip())


def _cancelled(made: build.Build, facts: Facts) -> _Verdict:
    reasons = [made.reason, *(one.cancel_reason or one.reason for one in facts.jobs if one.build_id == made.id)]
    why = next((one for one in reasons if one), "")
    again = (f"Run it again: buildhook builds retry {made.id}",) if made.plan_digest else ()
    return _Verdict(Cause.CANCELLED, f"Build {made.id} was cancelled. {why}".strip(), again)


def _ended(made: build.Build, facts: Facts) -> _Verdict:
    word = made.state.value.replace("_", " ")
    bad = [one for one in facts.jobs if one.build_id == made.id and one.state.value == made.state.value and one.reason]
    why = made.reason or (f"{bad[0].plan.name}: {bad[0].reason}" if bad and made.state != build.State.PASSED else None)
    text = f"Build {made.id} {word}" if why is None else f"Build {made.id} {word}: {why}"
    return _Verdict(Cause.ENDED, text if text.endswith((".", "!", "?")) else f"{text}.")


_BY_STATE: dict[build.State, Callable[[build.Build, Facts], _Verdict]] = {
    build.State.WAITING: _waiting,
    build.State.QUEUED: _queued,
    build.State.RUNNING: _running,
    build.State.FAILED: _failed,
    build.State.SKIPPED: _skipped,
    build.State.CANCELLED: _cancelled,
}


def _missing(question: Question, facts: Facts) -> _Verdict:
    if question.kind == Kind.DELIVERY:
        text = f"There is no delivery {question.text} here."
        return _Verdict(Cause.NO_DELIVERY, text, (_RECOVER, _FORGOTTEN))
    if _is_inactive(facts.installation):
        assert facts.installation is not None
        text = f"{_inactive(facts.installation)}: GitHub sends nothing, and nothing was heard of {question.text}."
        return _Verdict(Cause.SUSPENDED, text, ("Once the App may work there again, push: a new commit is built.",))
    advice: list[str] = []
    if facts.newest_at is None:
        advice.append("No delivery came at all: the App's webhook URL has to lead to this service's /webhook.")
    if question.kind == Kind.PULL and not facts.is_repository_known:
        advice.append("Nothing was ever heard of this repository.")
    if question.kind == Kind.COMMIT:
        advice.append("Of a push with several commits only the last one is built: ask for that one.")
    advice += ["The App has to be installed on the repository: see its settings on GitHub, under GitHub Apps.", _EVENTS]
    if facts.inactive:
        count = _count(len(facts.inactive), "account has", "accounts have")
        advice.append(f"{count} suspended or uninstalled the App: of their repositories nothing comes.")
    return _Verdict(
        Cause.NO_DELIVERY, f"No delivery about {question.text} ever came here.", (*advice, _RECOVER, _FORGOTTEN)
    )


_EVENTS = "The App has to subscribe to the events push and pull_request, as app.yml does."
_RECOVER = "GitHub may have been unable to deliver it. It keeps it for three days: buildhook deliveries recover"
_FORGOTTEN = "What is older than BUILDHOOK_RETENTION_DAYS is deleted."


def _is_inactive(installation: build.Installation | None) -> bool:
    return installation is not None and installation.state != "active"


def _inactive(installation: build.Installation) -> str:
    word = "suspended" if installation.state == "suspended" else "no longer installed"
    return f"The App is {word} for {installation.account}"


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"

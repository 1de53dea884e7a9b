"""An outcome: all that a handler wants written for one delivery, applied in one transaction with "handled"."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from bot.model import answer, approval, audit, build, job

#: What a person caused by this delivery, for the audit; the store adds which delivery that was.
Entry = audit.Entry


class NewBuild(msgspec.Struct, frozen=True, kw_only=True):
    """A build to create with its jobs. The store gives it the next generation of its head SHA.

    Without jobs the build itself carries the state: waiting for approval, a broken pipeline file, a result taken over.
    """

    build: build.Build
    jobs: tuple[job.Job, ...] = ()
    #: Cancel what still runs for the same head SHA, with this reason.
    supersedes_reason: str = "A newer build of the same commit took its place."
    #: The newest generation of its head when it was decided, 0 for none; None where another one makes no difference.
    follows: int | None = None
    #: The consent that it runs by: it is made only if the pull request still is as that says.
    approval: approval.Approval | None = None


class Cancellation(msgspec.Struct, frozen=True, kw_only=True):
    """Builds to cancel: those that match every given field and are not finished."""

    reason: str
    repository_id: int | None = None
    pull_number: int | None = None
    #: Fully qualified.
    ref: str | None = None
    head_sha: str | None = None
    #: Leave builds of this head alone.
    except_head_sha: str | None = None
    installation_id: int | None = None
    #: Leave builds alone that wait for approval: nothing of them runs.
    spares_waiting: bool = False
    #: Leave jobs alone whose `if` holds for a build that is cancelled.
    heeds_conditions: bool = False


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """A repository has another name or another installation: what there is of it goes on under these."""

    repository_id: int
    repository: str
    installation_id: int


class Farewell(msgspec.Struct, frozen=True, kw_only=True):
    """Checks of a repository that is gone: they are given up, with this reason."""

    reason: str
    repository_id: int


class Revival(msgspec.Struct, frozen=True, kw_only=True):
    """Checks that were given up and can be shown again, of a whole installation or one repository in it."""

    installation_id: int
    repository_id: int | None = None


class Remark(msgspec.Struct, frozen=True, kw_only=True):
    """A word to whoever tried to consent to a build that waits: it is shown in the build's check."""

    build_id: str
    text: str


class Visibility(msgspec.Struct, frozen=True, kw_only=True):
    """Whether everybody may see a repository."""

    repository_id: int
    #: None where nothing more will be told of it.
    is_public: bool | None
    #: Whether GitHub was asked, so that it is so now; else an event said it, which may be old.
    is_asked: bool = False


class Schedules(msgspec.Struct, frozen=True, kw_only=True):
    """The times at which a repository wants to be built, in place of those that were known."""

    repository_id: int
    installation_id: int
    #: `owner/name`: a label.
    repository: str
    #: The default branch, fully qualified.
    ref: str
    crons: tuple[str, ...]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What our comment on a pull request tells besides what it told before."""

    repository_id: int
    pull_number: int
    installation_id: int
    #: `owner/name`: a label.
    repository: str
    entries: tuple[answer.Entry, ...]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a handler decided. `trail` is never empty: "nothing to do" is an answer with a reason."""

    #: Sentences for people; the last one is the delivery's reason.
    trail: tuple[str, ...]
    #: True where the delivery cannot concern us.
    is_ignored: bool = False
    builds: tuple[NewBuild, ...] = ()
    cancellations: tuple[Cancellation, ...] = ()
    pulls: tuple[build.Pull, ...] = ()
    installations: tuple[build.Installation, ...] = ()
    moves: tuple[Move, ...] = ()
    farewells: tuple[Farewell, ...] = ()
    revivals: tuple[Revival, ...] = ()
    remarks: tuple[Remark, ...] = ()
    answers: tuple[Answer, ...] = ()
    schedules: tuple[Schedules, ...] = ()
    audit: tuple[Entry, ...] = ()
    visibilities: tuple[Visibility, ...] = ()
    #: Set where it has to be looked at again then: nothing else is written.
    look_again_at: datetime | None = None

    def __post_init__(self) -> None:
        if not self.trail:
            raise ValueError("an outcome needs at least one sentence that says why")


def joined(outcomes: Sequence[Outcome]) -> Outcome:
    """What several handlers of one delivery want written, as one.

    The delivery is ignored if all of them ignored it, and looked at again as soon as the first of them wants to.
    """
    again = [one.look_again_at for one in outcomes if one.look_again_at is not None]
    return Outcome(
        trail=tuple(sentence for one in outcomes for sentence in one.trail),
        is_ignored=all(one.is_ignored for one in outcomes),
        builds=tuple(new for one in outcomes for new in one.builds),
        cancellations=tuple(wish for one in outcomes for wish in one.cancellations),
        pulls=tuple(pull for one in outcomes for pull in one.pulls),
        installations=tuple(seen for one in outcomes for seen in one.installations),
        moves=tuple(move for one in outcomes for move in one.moves),
        farewells=tuple(farewell for one in outcomes for farewell in one.farewells),
        revivals=tuple(revival for one in outcomes for revival in one.revivals),
        remarks=tuple(remark for one in outcomes for remark in one.remarks),
        answers=tuple(told for one in outcomes for told in one.answers),
        schedules=tuple(times for one in outcomes for times in one.schedules),
        audit=tuple(entry for one in outcomes for entry in one.audit),
        visibilities=tuple(seen for one in outcomes for seen in one.visibilities),
        look_again_at=min(again, default=None),
    )


def ignored(reason: str) -> Outcome:
    """An outcome that changes nothing, because the delivery cannot concern us."""
    return Outcome(trail=(reason,), is_ignored=True)

"""What follows from the commands of one comment, with an answer to each. Pure: what it depends on was asked before."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from bot.builds import commands, rerun
from bot.events import command_lines, command_rights
from bot.events.command_lines import Command, Verb
from bot.github import comments
from bot.model import build, job, outcome

_AGAIN = frozenset({Verb.TEST, Verb.RETEST})


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What commands on a pull request are about, as it stands now."""

    number: int
    #: By GitHub, now.
    head_sha: str
    #: The newest build of the head.
    latest: build.Build | None
    latest_jobs: tuple[job.Job, ...] = ()
    #: Why that one may not run again though it ran once: the consent to it ended.
    unconsented: str | None = None
    #: Its builds that have not ended, of whichever head, but for those that wait for approval.
    running: tuple[build.Build, ...] = ()


class Sender(msgspec.Struct, frozen=True, kw_only=True):
    """Who gives the commands."""

    #: A label.
    login: str
    #: GitHub's word for what they may do in the repository, now; none where only what anybody may do was asked for.
    permission: str = "none"
    is_author: bool = False


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to one command."""

    command: Command
    #: What follows, or why nothing does.
    text: str
    reaction: comments.Reaction = comments.Reaction.CONFUSED
    build_id: str | None = None
    lines: tuple[str, ...] = ()

    @property
    def is_taken(self) -> bool:
        """Whether something follows."""
        return self.reaction is comments.Reaction.EYES


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """What all commands of a comment come to."""

    #: One for each, in order.
    replies: tuple[Reply, ...]
    builds: tuple[outcome.NewBuild, ...] = ()
    cancellations: tuple[outcome.Cancellation, ...] = ()
    #: Those that somebody who may wants approved: what follows is for `approving` to say.
    approvals: tuple[Command, ...] = ()


def needs_rights(asked: Sequence[Command]) -> bool:
    """Whether it matters who gives these commands."""
    return any(command_rights.TABLE[one.verb] is not command_rights.Who.ANYBODY for one in asked)


def decide(asked: Sequence[Command], sender: Sender, known: Known, wish: rerun.Wish, repository_id: int) -> Decided:
    """What the commands come to."""
    refused = {one: reply for one in asked if (reply := _refusal(one, sender, known)) is not None}
    taken = [one for one in asked if one not in refused]
    again = _again([one for one in taken if one.verb in _AGAIN], known, wish)
    ends = known.running and any(one.verb is Verb.CANCEL for one in taken)
    replies = []
    for one in asked:
        if one in refused:
            replies.append(refused[one])
        elif one.verb in _AGAIN:
            replies.append(_told_again(one, again))
        elif one.verb is Verb.CANCEL:
            replies.append(_told_cancelled(one, known))
        elif one.verb is Verb.HELP:
            text, lines = "This is what can be asked for.", command_rights.help_lines()
            replies.append(Reply(command=one, text=text, reaction=comments.Reaction.EYES, lines=lines))
        else:
            replies.append(Reply(command=one, text="It is decided with the build that waits."))
    return Decided(
        replies=tuple(replies),
        builds=(again,) if isinstance(again, outcome.NewBuild) else (),
        cancellations=(_cancellation(sender, known, repository_id),) if ends else (),
        approvals=tuple(one for one in taken if one.verb is Verb.OK_TO_TEST),
    )


def reaction(replies: Sequence[Reply]) -> comments.Reaction:
    """The one reaction to a comment: taken where anything of it is, else that somebody may not, else what is wrong."""
    given = {one.reaction for one in replies}
    order = (comments.Reaction.EYES, comments.Reaction.NO, comments.Reaction.CONFUSED)
    return next(one for one in order if one in given)


def is_let_run(one: build.Build) -> bool:
    """Whether somebody let the code of a build run: it is trusted, or this very commit was approved."""
    return one.trust == build.Trust.TRUSTED or (one.state != build.State.WAITING and bool(one.plan_digest))


def _refusal(one: Command, sender: Sender, known: Known) -> Reply | None:
    facts = command_rights.Facts(
        permission=sender.permission,
        is_author=sender.is_author,
        is_let_run=_is_about_let_run(one, known),
    )
    why = command_rights.why_not(one.verb, facts, login=sender.login)
    if why is not None:
        return Reply(command=one, text=why, reaction=comments.Reaction.NO)
    mistake = command_lines.mistake(one)
    if mistake is not None:
        return Reply(command=one, text=mistake)
    if one.verb is Verb.OK_TO_TEST and one.argument != known.head_sha:
        return Reply(command=one, text=f"Commit {one.argument} is not the head of #{known.number} now.")
    return None


def _is_about_let_run(one: Command, known: Known) -> bool:
    if one.verb is Verb.CANCEL:
        return all(is_let_run(running) for running in known.running)
    # A build of the same commit that is none of this pull request was let run for somebody else.
    latest = known.latest
    return latest is not None and latest.pull_number == known.number and is_let_run(latest)


def _again(asked: Sequence[Command], known: Known, wish: rerun.Wish) -> outcome.NewBuild | str | None:
    """The one build that all commands of a comment together ask for, or why there is none."""
    if not asked:
        return None
    if known.latest is None:
        return f"There is no build of {known.head_sha}, the head of #{known.number}."
    made = commands.again(known.latest, known.latest_jobs, latest=known.latest, which=_which(asked), wish=wish)
    if not isinstance(made, str) and known.unconsented is not None:
        return known.unconsented
    if isinstance(made, str) and known.latest.state == build.State.WAITING:
        return f"{made} `/ok-to-test SHA` lets it run."
    return made


def _which(asked: Sequence[Command]) -> rerun.Which:
    if any(one.verb is Verb.TEST and not one.argument for one in asked):
        return rerun.ALL
    return rerun.Which(
        only_failed=any(one.verb is Verb.RETEST for one in asked),
        names=tuple(one.argument for one in asked if one.verb is Verb.TEST),
    )


def _told_again(one: Command, again: outcome.NewBuild | str | None) -> Reply:
    if not isinstance(again, outcome.NewBuild):
        return Reply(command=one, text=again or "")
    text = f"Build {again.build.id} runs {_which([one])} of {again.build.head_sha} again."
    return Reply(command=one, text=text, reaction=comments.Reaction.EYES, build_id=again.build.id)


def _cancellation(sender: Sender, known: Known, repository_id: int) -> outcome.Cancellation:
    return outcome.Cancellation(
        reason=f"{sender.login} cancelled it by a comment.",
        repository_id=repository_id,
        pull_number=known.number,
        # Nothing of it runs, and without it nobody could approve it.
        spares_waiting=True,
        heeds_conditions=True,
    )


def _told_cancelled(one: Command, known: Known) -> Reply:
    if not known.running:
        return Reply(command=one, text=f"Nothing runs for #{known.number}.")
    names = ", ".join(running.id for running in known.running)
    word = "Build" if len(known.running) == 1 else "Builds"
    return Reply(command=one, text=f"{word} {names} will end.", reaction=comments.Reaction.EYES)


def with_consent(decided: Decided, command: Command, given: outcome.Outcome) -> Decided:
    """The decision with what an approval came to."""
    build_id = given.builds[0].build.id if given.builds else None
    reply = Reply(
        command=command,
        text=given.trail[-1],
        reaction=comments.Reaction.CONFUSED if build_id is None else comments.Reaction.EYES,
        build_id=build_id,
    )
    return replace(decided, replies=tuple(reply if one.command == command else one for one in decided.replies))

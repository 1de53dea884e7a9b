"""`issue_comment`: somebody commented on a pull request, perhaps with commands. Edits are no commands.

https://docs.github.com/en/webhooks/webhook-events-and-payloads#issue_comment
"""

from __future__ import annotations

import asyncio

from gidgethub import sansio
from msgspec.structs import replace
from sqlalchemy.engine import Connection

from bot import errors, telemetry
from bot.builds import commands
from bot.events import approving, command_lines, commanding, payloads, rerunning
from bot.events.command_lines import Command
from bot.events.context import Context
from bot.events.router import Router
from bot.github import Repository
from bot.model import answer, audit, build, outcome
from bot.store import answers, builds, jobs

router = Router()

#: From this length a text is read off the event loop.
_LONG_TEXT = 8 * 1024
_log = telemetry.log("events")


@router.register("issue_comment", action="created")
async def commented(event: sansio.Event, context: Context) -> outcome.Outcome:
    """A comment was written: its commands are followed, or it is told why not."""
    told = payloads.read(event, payloads.IssueCommentEvent)
    why = _why_not_read(told, context)
    if why is not None:
        return outcome.ignored(why)
    found = await _read(told.comment.body)
    if not found.commands:
        return outcome.ignored("The comment gives no command.")
    assert told.installation is not None
    repository = context.repository(
        installation_id=told.installation.id,
        repository_id=told.repository.id,
        full_name=told.repository.full_name,
    )
    decided = await _decide(told, found.commands, context, repository)
    if isinstance(decided, str):
        return outcome.Outcome(trail=(decided,))
    decided, consents = await _with_consents(decided, told, context, installation_id=told.installation.id)
    await _react(told, decided, repository)
    return outcome.joined([*consents, _outcome(told, decided, context, left_out=found.left_out)])


def _why_not_read(told: payloads.IssueCommentEvent, context: Context) -> str | None:
    """Why a comment cannot give commands, whatever it says."""
    user, app = told.comment.user, told.comment.performed_via_github_app
    if told.installation is None:
        return "The delivery names no installation of the App."
    if told.issue.pull_request is None:
        return "The comment is on an issue, not on a pull request."
    if user.id != told.sender.id:
        return "The payload contradicts itself about who wrote the comment."
    if user.type == "Bot" or user.login.endswith("[bot]"):
        return f"{user.login} is a bot: bots give no commands."
    if app is not None and app.id == context.github.app_id:
        return "The comment is our own."
    if told.issue.state != "open":
        return f"Pull request #{told.issue.number} is {told.issue.state}: nothing is done there."
    return None


async def _read(body: str) -> command_lines.Found:
    if len(body) < _LONG_TEXT:
        return command_lines.read(body)
    return await asyncio.to_thread(command_lines.read, body)


async def _decide(
    told: payloads.IssueCommentEvent, asked: tuple[Command, ...], context: Context, repository: Repository
) -> commanding.Decided | str:
    user, number = told.comment.user, told.issue.number
    earlier = await context.store.read(_earlier, told)
    if earlier is not None:
        return earlier
    sender = commanding.Sender(login=user.login)
    known = commanding.Known(number=number, head_sha="", latest=None)
    if commanding.needs_rights(asked):
        # All of it as it is now: a comment may have been long on its way.
        pull = await repository.get_pull(number)
        if pull.state != "open":
            return f"Pull request #{number} is {pull.state}: nothing is done there."
        permission = await repository.get_permission(user.login, user_id=user.id)
        sender = replace(sender, permission=permission, is_author=pull.author_id == user.id)
        known = await context.store.read(_known, told, pull.head_sha)
        if known.latest is not None and known.latest.state in build.FINAL:
            unconsented = await rerunning.why_not_consented(known.latest, context, repository)
            known = replace(known, unconsented=unconsented)
    wish = rerunning.wish(user, context, cause=_cause(told))
    return commanding.decide(asked, sender, known, wish, told.repository.id)


def _earlier(connection: Connection, told: payloads.IssueCommentEvent) -> str | None:
    """What says that this comment was answered already, under another delivery's id."""
    made = builds.find_by_cause(connection, repository_id=told.repository.id, cause=_cause(told))
    if made is not None:
        return f"Build {made.id} already answers comment {told.comment.id}."
    found = answers.find(connection, repository_id=told.repository.id, pull_number=told.issue.number)
    if found is not None and any(one.comment_id == told.comment.id for one in found.entries):
        return f"Comment {told.comment.id} was answered already."
    return None


def _known(connection: Connection, told: payloads.IssueCommentEvent, head_sha: str) -> commanding.Known:
    repository_id, number = told.repository.id, told.issue.number
    latest = builds.find_latest(connection, repository_id=repository_id, head_sha=head_sha)
    unfinished = builds.list_unfinished(connection, repository_id=repository_id, pull_number=number)
    return commanding.Known(
        number=number,
        head_sha=head_sha,
        latest=latest,
        latest_jobs=tuple(jobs.list_of_builds(connection, [latest.id])) if latest is not None else (),
        running=tuple(one for one in unfinished if one.state != build.State.WAITING),
    )


async def _with_consents(
    decided: commanding.Decided, told: payloads.IssueCommentEvent, context: Context, *, installation_id: int
) -> tuple[commanding.Decided, list[outcome.Outcome]]:
    given: list[outcome.Outcome] = []
    for command in decided.approvals:
        given.append(await _consent(command.argument, told, context, installation_id=installation_id))
        decided = commanding.with_consent(decided, command, given[-1])
    return decided, given


async def _consent(
    head_sha: str, told: payloads.IssueCommentEvent, context: Context, *, installation_id: int
) -> outcome.Outcome:
    """What follows from consent to a commit."""
    waiting = await context.store.read(_find_waiting, told, head_sha)
    if waiting is None:
        return outcome.Outcome(trail=(f"No build of {head_sha} waits for approval here.",))
    return await approving.approve(
        approving.Asked(
            build=waiting,
            sender=told.comment.user,
            repository=told.repository,
            installation_id=installation_id,
            head_sha=head_sha,
            via="comment",
        ),
        context,
    )


def _find_waiting(connection: Connection, told: payloads.IssueCommentEvent, head_sha: str) -> build.Build | None:
    found = builds.list_unfinished(
        connection, repository_id=told.repository.id, head_sha=head_sha, pull_number=told.issue.number
    )
    return next((one for one in reversed(found) if one.state == build.State.WAITING), None)


async def _react(told: payloads.IssueCommentEvent, decided: commanding.Decided, repository: Repository) -> None:
    """Show at once that the comment was read. Where that cannot be shown, what it asks for is done all the same."""
    try:
        await repository.create_reaction(told.comment.id, commanding.reaction(decided.replies))
    except errors.GitHubError as error:
        _log.warning("A comment cannot be reacted to.", action="react", comment_id=told.comment.id, error=str(error))


def _outcome(
    told: payloads.IssueCommentEvent, decided: commanding.Decided, context: Context, *, left_out: int
) -> outcome.Outcome:
    assert told.installation is not None
    user = told.comment.user
    more = f" {left_out} more commands of the comment were left out." if left_out else ""
    entries = tuple(
        answer.Entry(
            comment_id=told.comment.id,
            sender=user.login,
            sender_id=user.id,
            at=context.now(),
            command=str(one.command),
            text=one.text + (more if one is decided.replies[-1] else ""),
            is_taken=one.is_taken,
            build_id=one.build_id,
            lines=one.lines,
        )
        for one in decided.replies
    )
    told_of = outcome.Answer(
        repository_id=told.repository.id,
        pull_number=told.issue.number,
        installation_id=told.installation.id,
        repository=told.repository.full_name,
        entries=entries,
    )
    return outcome.Outcome(
        trail=tuple(f"{one.command}: {one.text}" for one in entries),
        builds=decided.builds,
        cancellations=decided.cancellations,
        answers=(told_of,),
        audit=_audit(told, decided),
    )


def _audit(told: payloads.IssueCommentEvent, decided: commanding.Decided) -> tuple[outcome.Entry, ...]:
    """What the commands caused; consent has entries of its own."""
    by = audit.Actor(via=audit.Via.COMMENT, id=told.comment.user.id, name=told.comment.user.login)
    again = tuple(commands.about_build(new.build, audit.Action.RETRY, by=by) for new in decided.builds)
    ended = tuple(
        outcome.Entry(
            action=audit.Action.CANCEL,
            via=by.via,
            actor_id=by.id,
            actor=by.name,
            repository_id=told.repository.id,
            repository=told.repository.full_name,
            pull_number=told.issue.number,
            detail=one.reason,
        )
        for one in decided.cancellations
    )
    return (*again, *ended)


def _cause(told: payloads.IssueCommentEvent) -> str:
    return f"comment:{told.comment.id}"

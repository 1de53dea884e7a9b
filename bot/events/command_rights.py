"""Who may give which command in a comment: one table. Pure; people are known by what GitHub says that they may do."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from bot import trust
from bot.events.command_lines import Verb


class Who(enum.Enum):
    """Whose command is followed; the value says so to people."""

    ANYBODY = "anybody"
    #: An author may repeat and stop what runs anyway: nothing new gets to run by it.
    WRITERS_AND_AUTHOR = (
        "whoever may push; and the author of the pull request, where its code runs as trusted or was approved"
    )
    WRITERS = "whoever may push"


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a right depends on, asked from GitHub now."""

    #: GitHub's word for what the sender may do in the repository.
    permission: str
    #: Whether the sender opened the pull request, by id.
    is_author: bool
    #: Whether the code that it is about was let run: it is trusted, or somebody approved this very commit.
    is_let_run: bool


TABLE: Mapping[Verb, Who] = MappingProxyType(
    {
        Verb.TEST: Who.WRITERS_AND_AUTHOR,
        Verb.RETEST: Who.WRITERS_AND_AUTHOR,
        Verb.CANCEL: Who.WRITERS_AND_AUTHOR,
        Verb.OK_TO_TEST: Who.WRITERS,
        Verb.HELP: Who.ANYBODY,
    }
)
_WHAT: Mapping[Verb, str] = MappingProxyType(
    {
        Verb.TEST: "`/test` runs all jobs of the head again, `/test NAME` one job and what needs it",
        Verb.RETEST: "`/retest` runs the jobs again that did not pass, and what needs them",
        Verb.CANCEL: "`/cancel` ends what runs for this pull request",
        Verb.OK_TO_TEST: "`/ok-to-test SHA` lets the code of one commit run, named by its whole SHA",
        Verb.HELP: "`/help` shows this",
    }
)


def why_not(verb: Verb, facts: Facts, *, login: str) -> str | None:
    """Why somebody may not give a command, in a sentence for people; None if they may."""
    who = TABLE[verb]
    if who is Who.ANYBODY or trust.may_write(facts.permission):
        return None
    if who is Who.WRITERS or not facts.is_author:
        return f"`{login}` may not push to this repository (GitHub says `{facts.permission}`): that takes `write`."
    if not facts.is_let_run:
        return f"`{login}` may not push to this repository, and nobody approved this commit yet."
    return None


def help_lines() -> tuple[str, ...]:
    """What can be asked for and by whom, a sentence for each command."""
    return tuple(f"{_WHAT[verb]}: {TABLE[verb].value}." for verb in Verb)

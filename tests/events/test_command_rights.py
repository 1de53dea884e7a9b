"""Who may give which command: every role, every command, the author and strangers."""

from __future__ import annotations

import itertools

import pytest

from bot.events import command_rights
from bot.events.command_lines import Verb
from bot.events.command_rights import Facts

WRITERS = ("admin", "maintain", "write")
OTHERS = ("triage", "read", "none", "", "owner")


@pytest.mark.parametrize(
    ("verb", "permission", "is_author", "is_let_run"),
    list(itertools.product(Verb, (*WRITERS, *OTHERS), (True, False), (True, False))),
)
def test_t27_t30_t37_the_table_of_rights(verb: Verb, permission: str, is_author: bool, is_let_run: bool) -> None:
    facts = Facts(permission=permission, is_author=is_author, is_let_run=is_let_run)
    why = command_rights.why_not(verb, facts, login="hubot")
    may = (
        verb is Verb.HELP
        or permission in WRITERS
        or (verb in {Verb.TEST, Verb.RETEST, Verb.CANCEL} and is_author and is_let_run)
    )
    assert (why is None) == may
    if why is not None:
        assert "`hubot` may not push" in why


def test_the_help_tells_of_every_command_and_who_may_give_it() -> None:
    lines = command_rights.help_lines()
    assert len(lines) == len(Verb)
    for verb, line in zip(Verb, lines, strict=True):
        assert line.startswith(f"`/{verb}")
        assert line.endswith(f": {command_rights.TABLE[verb].value}.")

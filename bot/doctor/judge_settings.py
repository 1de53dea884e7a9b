"""Checks of the settings and of what they name: pure."""

from __future__ import annotations

import stat
from collections.abc import Iterator

from bot.doctor.checks import Checks, Finding
from bot.doctor.facts import Facts

CHECKS = Checks()
_LOOSE = stat.S_IRWXO | stat.S_IWGRP


@CHECKS.check("All settings can be read.")
def settings(facts: Facts) -> Iterator[Finding]:
    """A setting that is missing, unreadable or not what it may be."""
    for line in facts.setting_problems:
        where, colon, what = line.partition(": ")
        yield Finding(
            what=what if colon else line, where=where if colon else "the settings", mend="See docs/settings.md."
        )


@CHECKS.check("No variable looks like a setting and is none.")
def setting_names(facts: Facts) -> Iterator[Finding]:
    """A name in the environment or in `.env` that begins as settings do and is none: it is misspelt."""
    for name, meant in facts.unknown_names.items():
        yield Finding(what="There is no setting of this name, so it does nothing.", where=name, mend=meant)


@CHECKS.check("No other user of this machine can read a secret.")
def secret_files(facts: Facts) -> Iterator[Finding]:
    """A file with a secret that other users of this machine can read or write."""
    for one in facts.secret_files:
        if one.mode & _LOOSE:
            yield Finding(
                what=f"Other users of this machine can read or change {one.path} (its mode is {one.mode:o}).",
                where=one.name,
                mend=f"Run `chmod 600 {one.path}`.",
            )


@CHECKS.check("The App's id, private key and webhook secret are set.")
def credentials(facts: Facts) -> Iterator[Finding]:
    """Credentials of the App that are not set yet: the service answers 503 to every delivery."""
    if not facts.given.known.has_credentials:
        yield Finding(
            what="The App's credentials are not set, so nothing can be received or built.",
            where="BUILDHOOK_APP_ID, BUILDHOOK_PRIVATE_KEY, BUILDHOOK_WEBHOOK_SECRET",
            mend="Run `buildhook setup`, or set all three; until then GitHub cannot be asked anything.",
        )


@CHECKS.check("The policy file can be read, or there is none.")
def policy_file(facts: Facts) -> Iterator[Finding]:
    """A policy file that is missing or has a mistake."""
    for line in (facts.policy_problem.known or "").splitlines():
        yield Finding(what=line.removeprefix("BUILDHOOK_POLICY_FILE: "), where="BUILDHOOK_POLICY_FILE", mend=_HOW)


_HOW = "Mend the file; docs/trust.md and docs/hooks.md have examples."


@CHECKS.check("All handlers can be loaded, or there are none.")
def handlers(facts: Facts) -> Iterator[Finding]:
    """A handler of your own that cannot be loaded."""
    for line in (facts.handlers_problem.known or "").splitlines():
        yield Finding(
            what=line.removeprefix("BUILDHOOK_HANDLERS: "), where="BUILDHOOK_HANDLERS", mend="See docs/handlers.md."
        )


@CHECKS.check("The object store takes what is written, or there is none.")
def storage(facts: Facts) -> Iterator[Finding]:
    """An object store that is away, or that refuses what is written."""
    problem = facts.storage_problem.known
    if problem:
        yield Finding(
            what=problem.removeprefix("BUILDHOOK_STORAGE_URL: "),
            where="BUILDHOOK_STORAGE_URL",
            mend="See that the bucket is there, that it can be reached, and that the credentials may write.",
        )

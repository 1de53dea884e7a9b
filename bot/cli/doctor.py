"""`buildhook doctor`: the usual mistakes of an installation, each with where it is and how to mend it."""

from __future__ import annotations

import asyncio
import contextlib
import sys

import typer

from bot import doctor as room
from bot import telemetry
from bot.cli import options, output
from bot.doctor import Line, State

_STYLES = {State.FINE: "green", State.WRONG: "red", State.UNKNOWN: "yellow"}


def doctor(as_json: options.Json = False) -> None:
    """Look for the usual mistakes of this installation; status 1 where one is found.

    It asks the settings, this machine, the database, GitHub and the service, and changes nothing. Ask it as the user,
    and in the place, that the service runs as. What each line means stands in docs/doctor.md.

    Example: buildhook doctor
    """
    telemetry.configure_logs(level="error")
    # What handlers of somebody's own print while they are loaded is no part of the answer.
    with contextlib.redirect_stdout(sys.stderr):
        facts, secrets = asyncio.run(room.ask())
    lines = room.judge(facts, room.CHECKS, secrets=secrets)
    wrong = sum(line.state is State.WRONG for line in lines)
    if as_json:
        output.json(lines)
    else:
        rows = [(f"[{_STYLES[one.state]}]{one.state}[/]", output.clean(one.check), _told(one)) for one in lines]
        output.table(("", "check", "what was found, where, and how to mend it"), rows, empty="Nothing was looked for.")
        unknown = sum(line.state is State.UNKNOWN for line in lines)
        behind = f" {unknown} could not be asked." if unknown else ""
        output.console().print(f"{wrong or 'No'} mistake{'' if wrong == 1 else 's'} found.{behind}")
    if wrong:
        raise typer.Exit(1)


def _told(line: Line) -> str:
    where = f"{line.where}: " if line.where else ""
    return output.clean(" ".join(filter(None, (f"{where}{line.what}", line.mend))))

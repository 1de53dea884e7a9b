"""Watches a build to its end: a tree that is drawn anew on a terminal, lines for everything else."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Protocol

import typer
from rich.console import Console
from rich.live import Live

from bot import clock, errors
from bot.cli import output, patience, tree
from bot.model import build
from bot.shapes import built, changed

#: The option of every command that can tell by its status how a build ended.
ExitStatus = Annotated[
    bool,
    typer.Option(
        "--exit-status",
        help="End with status 3 where it failed, 5 where it took too long, 6 where it was cancelled.",
    ),
]
#: How often a database here, and a service elsewhere, is looked at.
LOOK_SECONDS, ASK_SECONDS = 0.25, 1.0
_FAILED, _TIMED_OUT, _CANCELLED = 3, 5, 6
_STATUS = {
    build.State.PASSED: 0,
    build.State.SKIPPED: 0,
    build.State.FAILED: _FAILED,
    build.State.ERRORED: _FAILED,
    build.State.TIMED_OUT: _TIMED_OUT,
    build.State.CANCELLED: _CANCELLED,
}
#: As a shell tells of a program that this signal ended.
_INTERRUPTED = 128 + signal.SIGINT

Look = Callable[[], Awaitable[built.WholeBuild]]


class View(Protocol):
    """Where the build is shown."""

    def show(self, found: built.WholeBuild) -> None:
        """How it stands now."""

    def lose(self, error: str) -> None:
        """Nothing is known of it right now."""

    def close(self) -> None:
        """Nothing is shown from now on."""


async def follow(look: Look, *, view: View, every_seconds: float) -> built.WholeBuild:
    """Look until it has ended; gives it as it ended.

    What does not answer is asked again, the more seldom the longer it is away.

    :raises errors.BuildhookError: if it did not answer at once, or not for minutes.
    """
    try:
        found = await look()
        view.show(found)
        while found.state not in build.FINAL:
            await asyncio.sleep(every_seconds)
            found = await patience.asked(look, every_seconds=every_seconds, lose=view.lose)
            view.show(found)
        return found
    finally:
        view.close()


def view(*, as_json: bool) -> View:
    """What shows a build where standard output goes."""
    if as_json:
        return Lines(_print_json)
    console = output.drawing_console()
    return TreeView(console) if sys.stdout.isatty() and not console.is_dumb_terminal else Lines(_print)


@contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C and SIGTERM end what is inside after it has put the terminal in order, with the status of Ctrl-C."""

    def interrupt(*_: object) -> None:
        # A shell that starts it behind others with `&` has it ignore Ctrl-C, and not this.
        if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
            raise KeyboardInterrupt
        signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        raise typer.Exit(_INTERRUPTED) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def expect(found: built.WholeBuild) -> None:
    """End the command as the build ended.

    :raises errors.Conflict: if it has not.
    """
    if found.state not in build.FINAL:
        raise errors.Conflict(f"Build {found.id} has not ended: it is {found.state}.")
    if status := _STATUS[found.state]:
        raise typer.Exit(status)


class TreeView:
    """A tree on a terminal, drawn over the one before."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
        self._found: built.WholeBuild | None = None

    def show(self, found: built.WholeBuild) -> None:
        """Draw it."""
        self._found = found
        self._draw(None)

    def lose(self, error: str) -> None:
        """Draw it as it was last known."""
        self._draw(f"[yellow]{output.clean(error)} Asking again.[/]")

    def close(self) -> None:
        """Leave the whole tree standing, whatever its height, and the cursor below it."""
        if self._live.is_started and self._found is not None:
            self._live.update(tree.drawn(self._found))
            self._live.stop()

    def _draw(self, note: str | None) -> None:
        if self._found is None:
            return
        if not self._live.is_started:
            self._live.start()
        # One row is for the cursor.
        rows = self._console.height - 1
        self._live.update(tree.drawn(self._found, rows=rows, note=note), refresh=True)


class Lines:
    """A line for each change."""

    def __init__(self, write: Callable[[changed.Change], None]) -> None:
        self._write = write
        self._before: built.WholeBuild | None = None
        self._is_lost = False

    def show(self, found: built.WholeBuild) -> None:
        """Write what has changed."""
        for one in changed.between(self._before, found, at=clock.now()):
            self._write(one)
        sys.stdout.flush()
        self._before, self._is_lost = found, False

    def lose(self, error: str) -> None:
        """Say so once, where messages go."""
        if not self._is_lost:
            patience.say(error)
        self._is_lost = True

    def close(self) -> None:
        """What is written stays."""


def _print_json(one: changed.Change) -> None:
    output.json_line(one)


def _print(one: changed.Change) -> None:
    name = f"[bold]{output.clean(one.name)}[/]"
    if one.job is None:
        name = f"[bold]Build {one.build} of {output.clean(one.name)}[/]"
    elif one.step_name is not None:
        name += f" ▸ {output.clean(one.step_name)}"
    is_over = one.finished_at is not None and one.started_at is not None
    took = f" {output.duration(one.started_at, one.finished_at)}" if is_over else ""
    why = f": {output.clean(one.reason)}" if one.reason else ""
    output.console().print(f"{name} {output.state(output.clean(one.state))}{took}{why}")

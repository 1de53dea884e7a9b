"""`buildhook lint`: what is wrong with a pipeline file, by the same reading that the service does."""

from __future__ import annotations

import enum
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

import bot
from bot.cli import options, output
from bot.model import build
from bot.pipelines import parse, telling

#: More than any pipeline file may have: what is larger is refused, and need not be read whole.
MAX_BYTES = 1024 * 1024
_USAGE_STATUS = 2


class Format(enum.StrEnum):
    """How problems are printed."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"


def lint(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            help=f"Pipeline files; {parse.PATH} when none is given.", metavar="[FILE]...", show_default=False
        ),
    ] = None,
    form: Annotated[
        Format, typer.Option("--format", help="For people, for programs, or for code scanning.")
    ] = Format.TEXT,
    as_json: options.Json = False,
) -> None:
    """Check pipeline files. Exit code 1 where one of them is wrong.

    It needs no service and no settings: it is the same reading that decides what a push builds.

    Example: buildhook lint .buildhook.yml
    """
    told: list[tuple[build.Problem, str]] = []
    wanted = files or [Path(parse.PATH)]
    for path in wanted:
        content = read(path)
        text = content.decode("utf-8", "replace")
        told += [(one, text) for one in parse.parse(content, path=path.as_posix()).problems]
    problems = [one for one, _ in told]
    if form == Format.SARIF:
        encoded = msgspec.json.encode(telling.sarif(problems, version=bot.__version__))
        sys.stdout.write(output.escaped(msgspec.json.format(encoded, indent=2).decode()) + "\n")
    elif as_json or form == Format.JSON:
        output.json({"files": [path.as_posix() for path in wanted], "problems": problems})
    else:
        show(told)
        if not problems:
            output.console().print(f"{'1 file is' if len(wanted) == 1 else f'{len(wanted)} files are'} well.")
    if problems:
        raise typer.Exit(1)


def read(path: Path) -> bytes:
    """The content of a file that was named; a sentence and exit code 2 where it cannot be read."""
    try:
        with path.open("rb") as opened:
            return opened.read(MAX_BYTES)
    except FileNotFoundError:
        output.fail(f"There is no file {path}: name one, or write one by `buildhook init`.")
    except OSError as wrong:
        output.fail(f"{path} cannot be read: {wrong.strerror}.")
    raise typer.Exit(_USAGE_STATUS)


def show(told: list[tuple[build.Problem, str]]) -> None:
    """Print problems for people, each with the text of its file."""
    console = output.console()
    for problem, text in told:
        first, *rest = telling.lines(problem, text)
        console.print(f"[bold]{output.clean(first)}[/]", emoji=False)
        for line in rest:
            console.print(output.clean(line), emoji=False)

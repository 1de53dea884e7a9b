"""The command line: one module for each command; each parses, calls one function and prints."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import typer

from bot import errors
from bot.cli import builds, deliveries, demo, logs, output, serve, simulator, version

#: Every command by its name. A new one is added here, and `docs/cli.md` is made anew.
COMMANDS: dict[str, Any] = {
    "serve": serve.serve,
    "demo": demo.demo,
    "simulator": simulator.simulator,
    "deliveries": deliveries.app,
    "builds": builds.app,
    "logs": logs.logs,
    "version": version.version,
}


def make() -> typer.Typer:
    """The whole command line."""
    app = typer.Typer(
        name="buildhook",
        help="One GitHub App in front of whatever runs your builds.",
        no_args_is_help=True,
        add_completion=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for name, command in COMMANDS.items():
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name, no_args_is_help=True)
        else:
            app.command(name)(command)
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; its errors are sentences, never stack traces."""
    try:
        make()(args=list(arguments) if arguments is not None else None, prog_name="buildhook")
    except errors.BuildhookError as error:
        output.fail(str(error))
        sys.exit(1)
    except BrokenPipeError:
        # The reader went away, e.g. `buildhook logs ... | head`.
        sys.stderr.close()
        sys.exit(1)

"""The command line: one module for each command; each parses, calls one function and prints."""

from __future__ import annotations

import contextlib
import gc
import importlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from bot import errors
from bot.cli import output

if TYPE_CHECKING:
    import typer

#: Every command by its name: its module and what is registered from it. Only the module of the command that is asked
#: for is imported. A new one is added here, and `make fix` makes its page.
COMMANDS = {
    "serve": "bot.cli.serve:serve",
    "setup": "bot.cli.setup:setup",
    "dev": "bot.cli.dev:dev",
    "demo": "bot.cli.demo:demo",
    "simulator": "bot.cli.simulator:simulator",
    "run": "bot.cli.run:run",
    "deliveries": "bot.cli.deliveries:app",
    "builds": "bot.cli.builds:app",
    "pr": "bot.cli.pr:app",
    "artifacts": "bot.cli.artifacts:app",
    "init": "bot.cli.init:init",
    "lint": "bot.cli.lint:lint",
    "plan": "bot.cli.plan:plan",
    "schema": "bot.cli.schema:schema",
    "explain": "bot.cli.explain:explain",
    "logs": "bot.cli.logs:logs",
    "subscribers": "bot.cli.subscribers:app",
    "engines": "bot.cli.engines:app",
    "doctor": "bot.cli.doctor:doctor",
    "secrets": "bot.cli.secrets:app",
    "backup": "bot.cli.backup:backup",
    "restore": "bot.cli.restore:restore",
    "version": "bot.cli.version:version",
}
_NOT_SIGNED_IN = 4


def make(names: Iterable[str] = tuple(COMMANDS)) -> typer.Typer:
    """The command line with these commands."""
    import typer

    app = typer.Typer(
        name="buildhook",
        help="One GitHub App in front of whatever runs your builds.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback()
    def root() -> None:
        """One GitHub App in front of whatever runs your builds."""

    for name in names:
        module, _, attribute = COMMANDS[name].partition(":")
        with _no_garbage():
            command = getattr(importlib.import_module(module), attribute)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name, no_args_is_help=True)
        else:
            app.command(name)(command)
    return app


@contextlib.contextmanager
def _no_garbage() -> Iterator[None]:
    """While modules are imported: what they define stays, and looking through it again and again costs a third."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _serve(*, as_json: bool) -> None:
    """Serve, as it is mostly told to: to read options typer loads pydantic, and the service would hold its 10 MB."""
    with _no_garbage():
        from bot.cli import serving
    serving.run({}, as_json=as_json)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; its errors are sentences, never stack traces."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    names = [given[0]] if given and given[0] in COMMANDS else list(COMMANDS)
    try:
        if names == ["serve"] and set(given[1:]) <= {"--json"}:
            _serve(as_json="--json" in given)
        else:
            make(names)(args=given, prog_name="buildhook")
    except errors.BuildhookError as error:
        output.fail(str(error))
        sys.exit(_NOT_SIGNED_IN if isinstance(error, errors.NotSignedIn) else 1)
    except BrokenPipeError:
        # The reader went away, e.g. `buildhook logs ... | head`.
        sys.stderr.close()
        sys.exit(1)

"""`buildhook setup`: the service of somebody who has no App yet, with a page that registers one."""

from __future__ import annotations

from typing import Annotated

import typer

from bot.cli import options, serving


def setup(
    host: Annotated[str | None, typer.Option(help="The address to listen on (BUILDHOOK_HOST).")] = None,
    port: Annotated[int | None, typer.Option(help="The port, 0 for a free one (BUILDHOOK_PORT).")] = None,
    stop: Annotated[bool, typer.Option("--stop", help="End once it is set up and the webhook proved.")] = False,
    as_json: options.Json = False,
) -> None:
    """Register the GitHub App, or name one that is there, on a page of this machine; then go on as the service.

    It prints a link that is good once. What GitHub gives goes to `settings.env` in the data folder, and is in force at
    once. `buildhook serve` without an App does the same.

    Example: buildhook setup
    """
    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    serving.run(given, as_json=as_json, is_for_set_up=True, ends=stop)

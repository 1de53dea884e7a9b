"""`buildhook serve`: the service, until it is told to stop."""

from __future__ import annotations

from typing import Annotated

import typer

from bot.cli import options, serving


def serve(
    host: Annotated[str | None, typer.Option(help="The address to listen on (BUILDHOOK_HOST).")] = None,
    port: Annotated[int | None, typer.Option(help="The port, 0 for a free one (BUILDHOOK_PORT).")] = None,
    as_json: options.Json = False,
) -> None:
    """Run the service. SIGTERM stops it, SIGHUP reads the settings again; builds go on meanwhile.

    Example: BUILDHOOK_APP_ID=1 BUILDHOOK_PRIVATE_KEY_FILE=key.pem BUILDHOOK_WEBHOOK_SECRET_FILE=secret buildhook serve
    """
    serving.run({name: value for name, value in (("host", host), ("port", port)) if value is not None}, as_json=as_json)

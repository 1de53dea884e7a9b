"""`buildhook version`."""

from __future__ import annotations

import platform

import bot
from bot.cli import options, output


def version(as_json: options.Json = False) -> None:
    """Print the version.

    Example: buildhook version --json
    """
    if as_json:
        output.json({"version": bot.__version__, "python": platform.python_version()})
    else:
        output.console().print(f"buildhook {bot.__version__} (Python {platform.python_version()})")

"""What options of several commands have in common."""

from __future__ import annotations

from typing import Annotated

import typer

#: The option that every command has.
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def pair(text: str, *, option: str) -> tuple[str, str]:
    """Name and value of an option such as `--input NAME=VALUE`.

    :raises typer.BadParameter: if it is none.
    """
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise typer.BadParameter(f"`{text}` is no NAME=VALUE.", param_hint=option)
    return name, value

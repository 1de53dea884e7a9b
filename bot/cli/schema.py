"""`buildhook schema`: the JSON Schema of the pipeline file, for editors."""

from __future__ import annotations

import sys

from bot.cli import options, output
from bot.pipelines import schema as schemas


def schema(as_json: options.Json = False) -> None:
    """Print the JSON Schema (draft-07) of the pipeline file. A service has it at `/schema.json`.

    Example: buildhook schema > schema.json
    """
    if as_json:
        output.json(schemas.make())
    else:
        sys.stdout.write(schemas.text())

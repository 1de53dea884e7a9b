"""`buildhook plan`: what an event would run of a pipeline file, and why."""

from __future__ import annotations

import enum
import json
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from msgspec.structs import replace

from bot.cli import lint, options, output
from bot.events import imagining, planning
from bot.pipelines import contexts, outlook, parse
from bot.pipelines import plan as plans


class Event(enum.StrEnum):
    """What can be imagined."""

    PUSH = "push"
    PULL_REQUEST = "pull_request"
    MERGE_GROUP = "merge_group"


def plan(
    file: Annotated[Path, typer.Argument(help="The pipeline file.", metavar="[FILE]")] = Path(parse.PATH),
    event: Annotated[Event, typer.Option(help="What happens.")] = Event.PUSH,
    branch: Annotated[str | None, typer.Option(help="The branch that is pushed, or of the head; main.")] = None,
    tag: Annotated[str | None, typer.Option(help="The tag that is pushed.")] = None,
    base: Annotated[str, typer.Option(help="The branch that it is to be merged into.")] = "main",
    changed: Annotated[
        list[str] | None, typer.Option(help="A file that changed; again for each. Any may have, when not given.")
    ] = None,
    payload: Annotated[
        Path | None, typer.Option(help="What GitHub sends with the event, as JSON: it counts more than the options.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Show what an event would run, what not, and why.

    It needs no service and no settings: the file and the options are all that counts.

    Example: buildhook plan --event pull_request --base main --changed src/app.py
    """
    if tag is not None and event != Event.PUSH:
        raise typer.BadParameter("Only a push has a tag.", param_hint="--tag")
    content = lint.read(file)
    parsed = parse.parse(content, path=file.as_posix())
    if parsed.pipeline is None:
        if as_json:
            output.json({"problems": parsed.problems})
        else:
            lint.show([(one, content.decode("utf-8", "replace")) for one in parsed.problems])
        raise typer.Exit(1)
    wish = imagining.Wish(
        event=event.value, branch=branch, tag=tag, base=base, changed=None if changed is None else tuple(changed)
    )
    imagined = imagining.make(wish, None if payload is None else _payload(payload))
    of = replace(imagined.build, pipeline=parsed.pipeline.name)
    made = plans.make(parsed.pipeline, imagined.facts, contexts.of_build(of))
    why = planning.why(made, imagined.facts).replace(parse.PATH, file.as_posix())
    if as_json:
        output.json(to_json(made, why=why))
    else:
        for line in outlook.lines(made, why=why):
            output.console().print(output.clean(line), emoji=False)
    if made.problem is not None:
        raise typer.Exit(1)


def _payload(path: Path) -> dict[str, Any]:
    try:
        told = json.loads(lint.read(path))
    except ValueError as wrong:
        raise typer.BadParameter(f"{path} is not JSON: {wrong}.", param_hint="--payload") from None
    if not isinstance(told, dict):
        raise typer.BadParameter(f"{path} is not a JSON object.", param_hint="--payload")
    return told


def to_json(made: plans.Plan, *, why: str) -> dict[str, Any]:
    """The plan as programs read it."""
    names = plans.check_names(made)
    return {
        "verdict": made.verdict,
        "why": why,
        "pipeline": made.pipeline,
        "concurrency_group": made.concurrency_group,
        "cancel_in_progress": made.cancel_in_progress,
        "jobs": [{**msgspec.to_builtins(one), "check_name": names[one.key]} for one in made.jobs],
        "left_out": [{"key": one.plan.key, "reason": one.reason} for one in made.left_out],
        "problem": None if made.problem is None else {"line": made.problem.line, "text": made.problem.text},
    }

"""`buildhook init`: a first pipeline file for a repository, or one made of a workflow of GitHub Actions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bot.cli import lint, options, output
from bot.pipelines import converting, parse, starting

#: Where the service that runs on this machine has it.
SCHEMA_URL = "http://127.0.0.1:8080/schema.json"
_USAGE_STATUS = 2


def init(
    folder: Annotated[Path, typer.Argument(help="The top of the repository.", metavar="[FOLDER]")] = Path("."),
    workflow: Annotated[
        Path | None, typer.Option("--from", help="A workflow of GitHub Actions to make it of.", metavar="WORKFLOW")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a pipeline file that is there.")] = False,
    schema_url: Annotated[
        str, typer.Option(help="The address of the schema, for editors: `/schema.json` of a service.")
    ] = SCHEMA_URL,
    as_json: options.Json = False,
) -> None:
    """Write a first pipeline file, and say what it goes by.

    It looks at the files at the top of the repository, or with `--from` at a workflow: what of that cannot stay is told
    line by line, with what to do about it.

    Example: buildhook init --from .github/workflows/ci.yml
    """
    target = folder / parse.PATH
    if not folder.is_dir():
        output.fail(f"{folder} is no folder.")
        raise typer.Exit(_USAGE_STATUS)
    if (target.exists() or target.is_symlink()) and not force:
        output.fail(f"{target} is there already: write over it with --force.")
        raise typer.Exit(1)
    told: list[str] = []
    if workflow is None:
        jobs = _detected(folder)
        text: str | None = starting.text(jobs, schema_url=schema_url)
        told = [f"Found {one.found}: the job `{one.key}`." for one in jobs]
        told = told or ["Nothing that is known was found: write what tests this repository."]
    else:
        made = converting.convert(
            lint.read(workflow).decode("utf-8", "replace"), path=workflow.as_posix(), schema_url=schema_url
        )
        text = made.text
        told = [f"{one.path}:{one.line}: {one.text}" for one in made.remarks]
    problems = () if text is None else parse.parse(text, path=target.as_posix()).problems
    if text is not None:
        target.write_text(text, encoding="utf-8")
    if as_json:
        output.json({"path": None if text is None else target.as_posix(), "remarks": told, "problems": problems})
    else:
        for line in told:
            output.console().print(output.clean(line), emoji=False)
        if text is not None:
            output.console().print(output.clean(f"{target} is written."), emoji=False)
        if problems:
            output.console().print("What is left to do in it:")
            lint.show([(one, text or "") for one in problems])
    if text is None or problems:
        raise typer.Exit(1)


def _detected(folder: Path) -> list[starting.Job]:
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    contents = {name: lint.read(folder / name).decode("utf-8", "replace") for name in starting.READ if name in names}
    return starting.detect(names, contents)

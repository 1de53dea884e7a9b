"""`buildhook engines`: where jobs run here, and whether the sandbox holds what tries to get out of it."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from bot import engines, errors
from bot.cli import output
from bot.engines import contract
from bot.settings import Settings, load, load_policy

app = typer.Typer(help="Where jobs run here, and whether the sandbox holds.")
_WORDS = {True: "held", False: "escaped", None: "not tried"}


@app.command("list")
def list_(as_json: output.Json = False) -> None:
    """List the engines that the settings and the policy file name, with the labels of `runs-on` that each takes.

    Example: buildhook engines list
    """
    settings = load()
    known = load_policy(settings).engines
    names = dict.fromkeys((settings.engine, *known))
    found: list[dict[str, Any]] = [
        {
            "name": name,
            "is_default": name == settings.engine,
            "labels": sorted(known[name].labels) if name in known else [],
            "problem": _problem(settings, name),
        }
        for name in names
    ]
    if as_json:
        output.json(found)
        return
    rows = [
        (
            output.clean(one["name"]),
            "yes" if one["is_default"] else "",
            output.clean(", ".join(one["labels"])),
            output.clean(one["problem"] or ""),
        )
        for one in found
    ]
    output.table(("name", "default", "labels", "problem"), rows, empty="No engines.")


@app.command("test")
def try_(
    name: Annotated[str, typer.Argument(help="The engine's name.", metavar="NAME")] = "local",
    as_json: output.Json = False,
) -> None:
    """Try to get out of an engine's sandbox in many ways, as a stranger's job would; status 1 where one succeeds.

    Example: buildhook engines test local
    """
    settings = load()
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Of its own, so that a service that runs is not disturbed; in there, because it has to be kept from builds as well.
    with tempfile.TemporaryDirectory(prefix=".engines-test-", dir=settings.data_dir) as folder:
        found = asyncio.run(_test(_load(settings, name, Path(folder))))
    escaped = sum(one.is_held is False for one in found)
    if as_json:
        output.json([{"name": one.name, "held": one.is_held, "said": one.said} for one in found])
    else:
        rows = [(_state(one), output.clean(one.name), output.clean(one.said)) for one in found]
        output.table(("", "what was tried to reach", "what was found"), rows, empty="Nothing was tried.")
        tried = sum(one.is_held is not None for one in found)
        output.console().print(f"{tried - escaped} of {tried} attempts were held.")
    if escaped:
        raise typer.Exit(1)


async def _test(engine: contract.Engine) -> tuple[contract.Probed, ...]:
    if not isinstance(engine, contract.SelfTesting):
        raise errors.EngineError(f"The engine {engine.name!r} has no test of its own.")
    await engine.open()
    try:
        return await engine.test()
    finally:
        await engine.close()


def _load(settings: Settings, name: str, data_dir: Path) -> contract.Engine:
    return engines.load(name, data_dir=data_dir, sandbox=settings.sandbox, network=settings.network)


def _problem(settings: Settings, name: str) -> str | None:
    try:
        _load(settings, name, settings.data_dir)
    except errors.SettingsError as error:
        return str(error)
    return None


def _state(one: contract.Probed) -> str:
    word = _WORDS[one.is_held]
    style = {True: "green", False: "red", None: "yellow"}[one.is_held]
    return f"[{style}]{word}[/]"

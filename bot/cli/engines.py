"""`buildhook engines`: where jobs run here, and whether the sandbox holds what tries to get out of it."""

from __future__ import annotations

import asyncio
import functools
import platform
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from bot import clock, conformance, engines, errors, setup, telemetry
from bot.cli import bench, opening, options, output
from bot.engines import contract
from bot.model.self_test import SelfTest
from bot.settings import Settings, load, load_policy
from bot.shapes import listed
from bot.store import Store, self_tests

app = typer.Typer(help="Where jobs run here, and whether the sandbox holds.")
#: What an attempt is called that went well, that did not and that was not made; what was tried; what to say of all.
_ESCAPES = (("held", "escaped", "not tried"), "what was tried to reach", "attempts were held")
_CONTRACT = (("kept", "broken", "not tried"), "what it promises", "promises were kept")


@app.command("list")
def list_(as_json: options.Json = False) -> None:
    """List the engines that the settings and the policy file name, with the labels of `runs-on` that each takes, and
    what the last test of its sandbox held, on every machine that made one.

    Example: buildhook engines list
    """
    settings = load()
    known = load_policy(settings).engines
    names = dict.fromkeys((settings.engine, *known))
    tested = _tested()
    found: list[dict[str, Any]] = [
        {
            "name": name,
            "is_default": name == settings.engine,
            "labels": sorted(known[name].labels) if name in known else [],
            "self_tests": _of(name, tested),
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
            output.clean(_sandbox(one["name"], tested)),
            output.clean(one["problem"] or ""),
        )
        for one in found
    ]
    output.table(("name", "default", "labels", "sandbox", "problem"), rows, empty="No engines.")


@app.command("test")
def try_(
    name: Annotated[str, typer.Argument(help="The engine's name.", metavar="NAME")] = "local",
    contract_too: Annotated[
        bool,
        typer.Option("--contract", help="Show with jobs whether it keeps what every engine promises, instead."),
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Try to get out of an engine's sandbox in many ways, as a stranger's job would; status 1 where one succeeds.

    With --contract jobs of this command's own show instead whether the engine keeps the promises of every engine; their
    code is served on this machine's loopback.

    What came of the attempts is kept in the service's database: `engines list` and the page of the engines tell it.

    Example: buildhook engines test local
    """
    settings = load()
    telemetry.configure_logs(level="error")
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Of its own, so that a service that runs is not disturbed; in there, because it has to be kept from builds as well.
    with tempfile.TemporaryDirectory(prefix=".engines-test-", dir=settings.data_dir) as folder:
        make = functools.partial(_load, settings, name, Path(folder))
        found = asyncio.run(_keep(make) if contract_too else _test(make()))
    problem = None if contract_too else _keep_result(name, found)
    words, what, tried_what = _CONTRACT if contract_too else _ESCAPES
    escaped = sum(one.is_held is False for one in found)
    if as_json:
        output.json([{"name": one.name, "held": one.is_held, "said": one.said} for one in found])
    else:
        rows = [(_state(one, words), output.clean(one.name), output.clean(one.said)) for one in found]
        output.table(("", what, "what was found"), rows, empty="Nothing was tried.")
        tried = sum(one.is_held is not None for one in found)
        output.console().print(f"{tried - escaped} of {tried} {tried_what}.")
    if problem is not None:
        output.console(is_error=True).print(f"[yellow]warning:[/] The result is not kept. {output.clean(problem)}")
    if escaped:
        raise typer.Exit(1)


def _keep_result(name: str, found: Sequence[contract.Probed]) -> str | None:
    """Keep it for the page; gives why it could not be kept."""
    here = platform.uname()
    test = SelfTest(
        engine=name,
        host=here.node,
        kernel=here.release,
        tried_at=clock.now(),
        held=sum(one.is_held is True for one in found),
        escaped=tuple(one.name for one in found if one.is_held is False),
        untried=tuple(one.name for one in found if one.is_held is None),
    )

    async def work(store: Store, _settings: Settings) -> None:
        await store.write(self_tests.save, test)

    try:
        opening.with_store(work)
    except errors.BuildhookError as error:
        return str(error)
    return None


def _tested() -> list[SelfTest] | None:
    """What is kept of tests; None where the database cannot be asked."""

    async def work(store: Store, _settings: Settings) -> list[SelfTest]:
        return await store.read(self_tests.list_all)

    try:
        return opening.with_store(work)
    except errors.NotFound:
        return []
    except errors.BuildhookError as error:
        output.console(is_error=True).print(f"[yellow]warning:[/] {output.clean(str(error))}")
        return None


def _of(name: str, tested: Sequence[SelfTest] | None) -> list[listed.SelfTest] | None:
    return None if tested is None else [listed.of_self_test(one) for one in tested if one.engine == name]


def _sandbox(name: str, tested: Sequence[SelfTest] | None) -> str:
    if tested is None:
        return "not known"
    here = platform.node()
    own = sorted((one for one in tested if one.engine == name), key=lambda one: one.host != here)
    told = [f"{output.ago(one.tried_at)} on {one.host}: {one.text}" for one in own]
    if not own or own[0].host != here:
        told.insert(0, f"never run here, run `buildhook engines test {name}`")
    return " ".join(told)


async def _keep(make: Callable[[], contract.Engine]) -> Sequence[contract.Probed]:
    async with bench.opened(make) as on_bench:
        return await bench.keep(on_bench, conformance.PROMISES)


async def _test(engine: contract.Engine) -> Sequence[contract.Probed]:
    if not isinstance(engine, contract.SelfTesting):
        raise errors.EngineError(
            f"The engine {engine.name!r} has no sandbox of its own to try; --contract tries the rest."
        )
    await engine.open()
    try:
        return await engine.test()
    finally:
        await engine.close()


def _load(settings: Settings, name: str, data_dir: Path) -> contract.Engine:
    found = setup.of(settings, load_policy(settings))
    return engines.load(name, data_dir=data_dir, setup=msgspec.structs.replace(found, images_dir=settings.data_dir))


def _problem(settings: Settings, name: str) -> str | None:
    try:
        _load(settings, name, settings.data_dir)
    except errors.SettingsError as error:
        return str(error)
    return None


def _state(one: contract.Probed, words: tuple[str, str, str]) -> str:
    word, style = {True: (words[0], "green"), False: (words[1], "red"), None: (words[2], "yellow")}[one.is_held]
    return f"[{style}]{word}[/]"

"""`buildhook demo`: the main job, end to end, with no account: a red check, a fix, a green check."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from bot import errors
from bot.cli import options, output
from bot.simulator import CheckRun, Simulator

_READY_SECONDS = 30.0
_CHECK_SECONDS = 60.0
#: The files of the example.
MAIN = {
    "README.md": "# hello\n\nGreets people.\n",
    ".buildhook.yml": """\
name: hello
on: [push, pull_request]
jobs:
  test:
    steps:
      - name: Test
        run: python3 -m unittest discover -v -s tests -t .
""",
    "hello/__init__.py": "",
    "hello/greeting.py": '''\
"""Greetings."""


def greet(name: str) -> str:
    """A greeting for one person."""
    return f"Hello, {name}!"
''',
    "tests/__init__.py": "",
    "tests/test_greeting.py": """\
import unittest

from hello.greeting import greet


class GreetingTest(unittest.TestCase):
    def test_greets_by_name(self) -> None:
        self.assertEqual(greet("octo"), "Hello, octo!")
""",
}
#: What its pull request changes.
TOPIC = {
    "tests/test_greeting.py": MAIN["tests/test_greeting.py"]
    + """
    def test_greets_the_world_when_nobody_is_named(self) -> None:
        self.assertEqual(greet(""), "Hello, world!")
""",
}
#: What mends it.
FIX = {
    "hello/greeting.py": MAIN["hello/greeting.py"].replace(
        'return f"Hello, {name}!"', "return f\"Hello, {name or 'world'}!\""
    ),
}


class _Claim(errors.BuildhookError):
    """The demo did not show what it promises."""


def demo(
    folder: Annotated[Path | None, typer.Option(help="Keep everything here; else it is gone at the end.")] = None,
    as_json: options.Json = False,
) -> None:
    """Show the whole way on this machine: a simulator of GitHub, the service, a red pull request, its fix, green.

    With a terminal it then stays, for you to look at the pages; without one it ends with status 0, or 1 if anything
    differed from what it claims.

    Example: buildhook demo
    """
    is_terminal = sys.stdout.isatty() and sys.stdin.isatty() and not as_json
    view = _View(is_live=is_terminal, is_silent=as_json)
    with contextlib.ExitStack() as stack:
        home = folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="buildhook-demo-")))
        shown = asyncio.run(_show(home, view, stays=is_terminal))
    if as_json:
        output.json(shown)


async def _show(home: Path, view: _View, *, stays: bool) -> dict[str, object]:
    async with contextlib.AsyncExitStack() as stack:
        with view:
            view.begin("Start a simulator of GitHub")
            github = await stack.enter_async_context(Simulator(folder=home / "github"))
            view.end(f"at {github.url}")
            view.begin("Start buildhook")
            url = await stack.enter_async_context(service(github, home))
            github.webhook_url = f"{url}/webhook"
            view.end(f"at {url}")
            shown = await _story(github, view)
        view.say(f"\n[bold green]success[/]: red, then green, in {view.seconds:.1f} s")
        view.say(f"  pull request  {shown['pull_request']}")
        view.say(f"  its last job  {shown['job']}")
        view.say(f"  all builds    {url}/")
        view.say(f"  deliveries    {url}/deliveries")
        if stays:
            view.say("\nEverything goes on until you press Ctrl-C.")
            await _interrupted()
        return {"result": "success", **shown, "service": url, "simulator": github.url}


async def _story(github: Simulator, view: _View) -> dict[str, object]:
    view.begin("Make the repository octo/hello, a small Python package with a test")
    repository = await github.create_repository("octo/hello", files=MAIN)
    view.end(repository.html_url)
    view.begin("Open a pull request whose test fails")
    await github.commit(repository, "greet-the-world", TOPIC, "Greet the world when nobody is named")
    pull = await github.open_pull_request(repository, "greet-the-world", author="mona")
    view.end(f"#{pull.number}, {pull.head_sha[:7]}")
    view.begin("Wait for its check")
    red = await _check(github, repository.full_name, pull.head_sha)
    _claim(red.conclusion == "failure", f"the first check is {red.conclusion}, not failure")
    annotation = next((one for one in red.annotations if one["path"] == "tests/test_greeting.py"), None)
    _claim(annotation is not None, f"no annotation on tests/test_greeting.py among {red.annotations}")
    assert annotation is not None
    view.end(f"[red]✗ failure[/]: {output.clean(red.title or '')}")
    message = str(annotation["message"]).partition("\n")[0]
    view.say(f"    [red]│[/] {annotation['path']}:{annotation['start_line']}: {output.clean(message)}")
    view.begin("Push the fix")
    head = await github.push(repository, "greet-the-world", FIX, "Mend the greeting")
    view.end(head[:7])
    view.begin("Wait for its check")
    green = await _check(github, repository.full_name, head)
    _claim(green.conclusion == "success", f"the second check is {green.conclusion}, not success")
    _claim(len(github.check_runs(repository, head)) == 1, "there is more than one check run of the fix")
    view.end(f"[green]✓ success[/]: {output.clean(green.title or '')}")
    return {
        "pull_request": f"{repository.html_url}/pull/{pull.number}",
        "red": {"sha": pull.head_sha, "conclusion": red.conclusion, "annotation": annotation},
        "green": {"sha": head, "conclusion": green.conclusion},
        "job": green.details_url,
    }


async def _check(github: Simulator, repository: str, sha: str) -> CheckRun:
    try:
        return await github.wait_for_check(repository, sha, timeout_seconds=_CHECK_SECONDS)
    except TimeoutError as error:
        raise _Claim(f"The check did not end within {_CHECK_SECONDS:.0f} s: {error}") from error


def _claim(is_true: bool, otherwise: str) -> None:
    if not is_true:
        raise _Claim(f"The demo claims something else: {otherwise}.")


@contextlib.asynccontextmanager
async def service(github: Simulator, home: Path) -> AsyncIterator[str]:
    """`buildhook serve` as a process of its own, told everything by its environment; gives its address."""
    async with serving(environment(github, home), home) as told:
        yield told["url"]


@contextlib.asynccontextmanager
async def serving(variables: Mapping[str, str], home: Path) -> AsyncIterator[Mapping[str, str]]:
    """`buildhook serve` with these variables; gives what it says when it is ready."""
    log = home / "service.log"
    with log.open("wb") as err:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bot",
            "serve",
            "--json",
            env=variables,
            cwd=home,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=err,
        )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_READY_SECONDS):
            line = await process.stdout.readline()
        if not line:
            raise _Claim(f"The service did not start:\n{log.read_text(errors='replace')}")
        yield json.loads(line)
    finally:
        if process.returncode is None:
            process.terminate()
        # Reading to the end also lets go of the pipe.
        await process.communicate()


def environment(github: Simulator, home: Path) -> dict[str, str]:
    """All that a service of this simulator is told, with its data below `home`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BUILDHOOK_")}
    # The process may have been started from anywhere, e.g. by its path in a checkout.
    package = str(Path(__file__).parent.parent.parent)
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join(filter(None, (package, kept.get("PYTHONPATH")))),
        "BUILDHOOK_GITHUB_API_URL": github.api_url,
        "BUILDHOOK_APP_ID": str(github.app_id),
        "BUILDHOOK_PRIVATE_KEY": github.private_key,
        "BUILDHOOK_WEBHOOK_SECRET": github.webhook_secret or "",
        "BUILDHOOK_CLIENT_ID": github.client_id,
        "BUILDHOOK_CLIENT_SECRET": github.client_secret,
        "BUILDHOOK_DATA_DIR": str(home / "data"),
        "BUILDHOOK_PORT": "0",
    }


async def _interrupted() -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()


class _View:
    """The steps as they happen: live on a terminal, one line each elsewhere."""

    def __init__(self, *, is_live: bool, is_silent: bool) -> None:
        self._console = output.drawing_console() if is_live else output.console()
        self._live = Live(console=self._console, refresh_per_second=12, transient=True) if is_live else None
        self._is_silent = is_silent
        self._step = ""
        self._start: float | None = None

    @property
    def seconds(self) -> float:
        """How long the steps took so far."""
        return asyncio.get_running_loop().time() - (self._start or 0.0)

    def __enter__(self) -> None:
        self._start = asyncio.get_running_loop().time()
        if self._live is not None:
            self._live.start()

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def begin(self, text: str) -> None:
        """A step begins."""
        self._step = text
        if self._live is not None:
            row = Table.grid(padding=(0, 1))
            row.add_row(Spinner("dots"), Text(text))
            self._live.update(row)

    def end(self, result: str) -> None:
        """The step that began has ended so."""
        if self._live is not None:
            self._live.update(Text(""))
        self.say(f"[green]●[/] {self._step}: {result}")

    def say(self, text: str) -> None:
        """Print one line of markup."""
        if not self._is_silent:
            self._console.print(text)

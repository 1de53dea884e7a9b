"""What every test stands on: a clean environment, a loop that nothing blocks, a real database, fresh metrics."""

from __future__ import annotations

import gc
import logging
import os
import shutil
import signal
import types
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import hypothesis
import pytest
import sqlalchemy
import structlog
from blockbuster import BlockBuster

from bot import telemetry
from bot.store import Store, upgrade
from tests import postgresql

# A shell that starts the tests behind others with `&` has them ignore Ctrl-C, and so all programs that they start.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# What a machine under load takes for an example says nothing about the code.
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")

#: Rooms whose code runs in the service's event loop: a blocking call below one of their frames fails the test.
_ROOMS_OF_THE_LOOP = ("webhooks", "events", "builds", "checks", "github", "store", "web")
_BOT = Path(__file__).parent.parent / "bot"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Whether tests write what the docs show, instead of comparing."""
    parser.addoption("--write-docs", action="store_true", help="write the parts of docs/ that tests make")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the person who runs the tests reaches one."""
    for name in os.environ:
        if name.startswith("BUILDHOOK_"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def unblocked_loop() -> Iterator[None]:
    """A blocking call in the event loop is an error."""
    rooms = []
    for name in _ROOMS_OF_THE_LOOP:
        # Only the path is wanted: importing every room for every test would tie them together.
        room = types.ModuleType(f"bot.{name}")
        room.__path__ = [str(_BOT / name)]
        rooms.append(room)
    buster = BlockBuster(scanned_modules=rooms)
    for name, function in buster.functions.items():
        # The locks of metrics and logs are held for microseconds, but now and then two threads do meet there.
        if not name.startswith("threading.Lock."):
            function.can_block_in("<frozen importlib._bootstrap>", "_find_and_load")
            # Once for each connection: the driver looks for a file of passwords.
            function.can_block_in("asyncpg/connect_utils.py", "_parse_connect_arguments")
            # A stack trace in the log shows lines of source.
            function.can_block_in("structlog/_base.py", "_process_event")
            function.activate()
    yield
    buster.deactivate()


@pytest.fixture(autouse=True)
def fresh_logs() -> Iterator[None]:
    """What a test does to the logs ends with it: its streams are closed then."""
    handlers = list(logging.root.handlers)
    yield
    structlog.reset_defaults()
    logging.root.handlers[:] = handlers


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file with this version's tables, to be copied: running the migrations takes longer than most tests."""
    path = tmp_path_factory.mktemp("template") / "buildhook.db"
    engine = sqlalchemy.create_engine(f"sqlite:///{path}")
    upgrade.upgrade(engine, path)
    engine.dispose()
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def database_kind(request: pytest.FixtureRequest) -> str:
    """Which database a test runs on: everything that stores something runs on both."""
    kind: str = request.param
    return kind


@pytest.fixture
def database_url(database_kind: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A database with this version's tables and nothing in them: `tmp_path / "buildhook.db"`, or one on a server."""
    if database_kind == "postgresql":
        with postgresql.cleared() as url:
            yield url
        return
    path = request.getfixturevalue("tmp_path") / "buildhook.db"
    shutil.copyfile(request.getfixturevalue("empty_database"), path)
    yield f"sqlite:///{path}"


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    """An open store."""
    opened = await Store(database_url).open()
    yield opened
    await opened.close()


@pytest.fixture
def metrics() -> telemetry.Metrics:
    """Metrics of this test alone."""
    return telemetry.Metrics()


def pytest_collection_finish() -> None:
    """What was imported and collected stays to the end: looking through it again and again for garbage costs time."""
    gc.collect()
    gc.freeze()

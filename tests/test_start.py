"""What `buildhook serve` does not load on its way to ready: each module costs every start, and memory for ever."""

from __future__ import annotations

from pathlib import Path

from bot.simulator import world
from bot.store import Store
from tests.acceptance import process

#: Module: what loads it. A new one belongs here when it is loaded where it is used; none goes without a measurement.
LATER = {
    "alembic": "a database of an older version",
    "asyncpg": "a database on a server",
    "sqlalchemy.dialects.postgresql": "a database on a server",
    "obstore": "a storage that is none of this machine's folders",
    "opentelemetry": "its own variables",
    "pydantic": "typer, for the options of a command",
    "typer": "the options of a command",
    # `rich` itself is asked for, and not found: `bot.telemetry` says why.
    "rich.console": "what commands print for people",
    "pygments": "rich",
    "jinja2": "the first page",
    "statistics": "the page of a repository",
    "lark": "the first delivery, before its pipeline file is there",
    "ruamel": "the first delivery, before its pipeline file is there",
    "re2": "the first log that is searched for messages",
    "lxml": "the first report in XML",
    "graphql": "the simulator",
    "jsonschema_rs": "the simulator",
    "markdown_it": "the simulator",
    "bot.simulator": "`buildhook simulator`",
    "bot.doctor": "`buildhook doctor`",
    "bot.relay": "`buildhook dev`",
    "bot.engines.local.escapes": "`buildhook engines test`",
    "bot.engines.local.supervisor.main": "the process that supervisors are forks of",
}


async def test_a_service_is_ready_without_what_only_some_need(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    # One that is made at the start loads what makes tables.
    store = Store(f"sqlite:///{data_dir / 'buildhook.db'}")
    await store.open()
    await store.close()
    given = process.environment(
        data_dir,
        github_api_url="http://127.0.0.1:9/api/v3",
        app_id=1,
        private_key=world.generated_key(),
        webhook_secret="secret",
    )
    log, program = tmp_path / "imports", ("-X", "importtime", "-m", "bot")
    async with process.serving(given, log=log, program=program):
        told = [line.rpartition("|")[2].strip() for line in log.read_text().splitlines() if line.startswith("import ")]
    assert "bot.app" in told
    loaded = {name for name in LATER for one in told if one == name or one.startswith(f"{name}.")}
    assert not loaded, f"Loaded before it is ready: {sorted(loaded)}. `tests/test_start.py` says what may load each."

"""Upgrades a database again and again, killed behind each of its statements in turn; a program of its own.

It has one thread, so that it can make a child for each death without starting Python anew. Reads a JSON object with
`url`, the version that the database begins with (or null), and `every`; writes what came of each death as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import make_url

from bot.store import Store
from tests.migrations import history

#: More than a driver needs that hangs.
DEATH_SECONDS = 30


def main() -> None:
    """One death behind every `every`-th statement of the upgrade, and the start that follows."""
    asked = json.load(sys.stdin)
    url, version, every = asked["url"], asked["version"], asked["every"]
    prepare(url, version)
    in_child(lambda: count(url, f"{asked['folder']}/count"))
    whole = describe(url)
    statements = int(Path(asked["folder"], "count").read_text())
    deaths = []
    for number in range(1, statements + 1, every):
        prepare(url, version)
        first = in_child(lambda number=number: start(url, dies_behind=number))  # type: ignore[misc]
        second = in_child(lambda: start(url))
        deaths.append({"number": number, "first": first, "second": second, "is_whole": describe(url) == whole})
    json.dump({"statements": statements, "deaths": deaths, "rows": whole["rows"]}, sys.stdout)


def prepare(url: str, version: str | None) -> None:
    """The database as it was before the upgrade."""
    if url.startswith("sqlite"):
        path = Path(make_url(url).database or "")
        for file in path.parent.glob(f"{path.name}*"):
            file.unlink()
        if version is not None:
            history.load_file(path, version)
        return
    engine = server(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")
        if version is not None:
            history.load_server(connection, version)
    engine.dispose()


def server(url: str) -> sa.Engine:
    """The database on a server, for one thread."""
    return sa.create_engine(make_url(url).set(drivername="postgresql+psycopg"))


def count(url: str, into: str) -> None:
    """Upgrade without a death, and write down how many statements that takes."""
    seen: list[str] = []
    sa.event.listen(sa.Engine, "after_cursor_execute", lambda *arguments: seen.append(arguments[2]))
    start(url)
    Path(into).write_text(str(len(seen)))


def start(url: str, *, dies_behind: int | None = None) -> None:
    """What every start of the service does first."""
    seen = 0

    def die(*_: object) -> None:
        nonlocal seen
        seen += 1
        if seen == dies_behind:
            os.kill(os.getpid(), signal.SIGKILL)

    sa.event.listen(sa.Engine, "after_cursor_execute", die)

    async def open_once() -> None:
        store = await Store(url).open()
        await store.close()

    asyncio.run(open_once())


def in_child(work: Callable[[], None]) -> int:
    """Run it in a process of its own; gives its status, negative for a signal."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            signal.alarm(DEATH_SECONDS)
            work()
            status = 0
        finally:
            sys.stderr.flush()
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def describe(url: str) -> dict[str, Any]:
    """Everything that a later start could find different: tables, indexes, version, and how many rows there are."""
    is_file = url.startswith("sqlite")
    engine = sa.create_engine(url) if is_file else server(url)
    with engine.connect() as connection:
        there = history.reflected(connection)
        found = history.rows(connection)
        (version,) = connection.exec_driver_sql("SELECT version_num FROM alembic_version").one()
        if is_file:
            query = "SELECT name, sql FROM sqlite_master ORDER BY name"
        else:
            query = (
                "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' UNION ALL"
                " SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
                " WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2"
            )
        definitions = [[str(row[0]), str(row[1])] for row in connection.exec_driver_sql(query)]
        columns = {
            table.name: [[column.name, str(column.type), column.nullable] for column in table.c]
            for table in there.sorted_tables
        }
    engine.dispose()
    rows = {name: len(of) for name, of in found.items()}
    return {"version": version, "definitions": definitions, "columns": columns, "rows": rows, "all": repr(found)}


if __name__ == "__main__":
    main()

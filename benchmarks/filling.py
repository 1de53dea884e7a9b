"""Fills a database with very many builds: one is made as the service makes it, the others are its copies."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, make_url

from bot.model import build, delivery, job
from bot.store import Store, builds, deliveries, outcomes
from bot.store.schema import builds as builds_table
from bot.store.schema import checks as checks_table
from bot.store.schema import deliveries as deliveries_table
from bot.store.schema import jobs as jobs_table
from tests import factories

_SECOND = 1_000_000
_TABLES = (builds_table, jobs_table, checks_table, deliveries_table)
#: Copied at once; between two of these others get their turn.
_AT_ONCE = 50_000
#: In turn, so that each state has many.
_STATES = (build.State.PASSED, build.State.PASSED, build.State.PASSED, build.State.FAILED)


async def fill(url: str, *, count: int, repositories: int, seconds: float, is_over: bool = True) -> int:
    """Add so many builds, each with its delivery, its job and its check, spread over the repositories in turn.

    :param seconds: on a slow machine it ends with fewer after so long.
    :param is_over: all of it has ended; else all of it waits.
    :return: how many there are.
    """
    store = await Store(url).open()
    made = factories.make_build(id=f"{0:026d}", head_sha=f"{0:040x}", delivery_id="d0", started_at=factories.NOW)
    one = factories.make_job(id=f"{0:026d}", build_id=made.id)
    steps = tuple(factories.make_step_result(index=number) for number in range(5))
    new = factories.make_new_build(made, one)
    await store.write(outcomes.create, new, now=factories.NOW)
    await store.write(deliveries.insert_many, [factories.make_verified_delivery(guid="d0")])
    if is_over:
        await store.write(_end, new.jobs[0].id, made.id, steps)
    await store.close()
    return await asyncio.to_thread(_copy_all, url, count, repositories, seconds, is_over)


def _copy_all(url: str, count: int, repositories: int, seconds: float, is_over: bool) -> int:
    """Copy without the care that a service takes: the indexes come last, and nobody waits for the disk."""
    is_file = url.startswith("sqlite")
    engine = sa.create_engine(url if is_file else make_url(url).set(drivername="postgresql+psycopg"))
    with engine.connect() as connection:
        if is_file:
            for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-500000"):
                connection.exec_driver_sql(f"PRAGMA {pragma}").close()
        else:
            connection.exec_driver_sql("SET synchronous_commit = off")
        connection.commit()
        indexes = [index for table in _TABLES for index in table.indexes]
        # As the migrations made them, over some rows or over all.
        known = "SELECT name, sql FROM sqlite_master" if is_file else "SELECT indexname, indexdef FROM pg_indexes"
        made_by = {row[0]: row[1] for row in connection.exec_driver_sql(known)}
        for index in indexes:
            index.drop(connection)
        connection.commit()
        made, ends_at = 1, time.monotonic() + seconds
        while made < count and time.monotonic() < ends_at:
            end = min(count, made + _AT_ONCE)
            _copy(connection, start=made, end=end, repositories=repositories, is_over=is_over)
            connection.commit()
            made = end
        for index in indexes:
            connection.exec_driver_sql(made_by[index.name])
        connection.exec_driver_sql("ANALYZE")
        connection.commit()
        if is_file:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL").close()
    engine.dispose()
    return made


def _end(connection: Connection, job_id: str, build_id: str, steps: tuple[job.StepResult, ...]) -> None:
    """What was made ends, and GitHub knows it."""
    ended = {"state": job.State.PASSED, "started_at": factories.NOW, "finished_at": factories.NOW}
    connection.execute(sa.update(jobs_table).values(**ended, steps=steps, log_size_bytes=0))
    builds.save_state(
        connection, build_id, state=build.State.PASSED, started_at=factories.NOW, finished_at=factories.NOW
    )
    connection.execute(
        sa.update(checks_table).values(
            reported_version=checks_table.c.desired_version, github_id=1, reported_status="completed"
        )
    )
    connection.execute(
        sa.update(deliveries_table).values(
            state=delivery.State.HANDLED, handled_at=factories.NOW, trail=("It is built.",)
        )
    )


def _copy(connection: Connection, *, start: int, end: int, repositories: int, is_over: bool) -> None:
    first = sa.select(sa.literal(start, sa.BigInteger()).label("n")).cte("series", recursive=True)
    series = first.union_all(sa.select(first.c.n + 1).where(first.c.n < end - 1))
    number = series.c.n
    of_repository = number % repositories
    state = sa.case(
        *((number % len(_STATES) == index, sa.literal(str(one))) for index, one in enumerate(_STATES[:-1])),
        else_=str(_STATES[-1]),
    )
    is_server = connection.dialect.name == "postgresql"
    digits = sa.cast(number, sa.Text())
    ulid = sa.func.lpad(digits, 26, "0") if is_server else sa.func.printf("%026d", number)
    sha = sa.func.lpad(sa.func.to_hex(number), 40, "0") if is_server else sa.func.printf("%040x", number)
    name = sa.literal("octo/repo-") + sa.cast(of_repository, sa.Text())
    at = sa.type_coerce(sa.type_coerce(builds_table.c.created_at, sa.BigInteger()) + number * _SECOND, sa.BigInteger())
    about: dict[str, Any] = {"repository_id": of_repository + 1, "repository": name, "head_sha": sha}
    ended = {"state": state} if is_over else {}
    _multiply(
        connection,
        builds_table,
        series,
        {
            **about,
            "id": ulid,
            "cause": sa.literal("copy:") + digits,
            "delivery_id": sa.literal("d") + digits,
            **ended,
            "created_at": at,
        },
    )
    own = {"id": ulid, "build_id": ulid, **ended}
    _multiply(connection, jobs_table, series, own)
    linked = {**about, "build_id": ulid, "job_id": ulid, "external_id": ulid}
    linked |= {"github_id": number} if is_over else {}
    _multiply(connection, checks_table, series, linked)
    key = sa.literal("ref:") + digits
    _multiply(connection, deliveries_table, series, {**about, "id": sa.literal("d") + digits, "ordering_key": key})


def _multiply(connection: Connection, table: sa.Table, series: sa.CTE, changed: Mapping[str, Any]) -> None:
    """Copy the first row of a table once for each number, with these columns changed."""
    names = [column.name for column in table.c if column.name not in {"seq"} and not _is_serial(column)]
    # Types are left out of it: what is copied is what is stored.
    values = [
        sa.type_coerce(changed[name], sa.types.NullType()) if name in changed else table.c[name] for name in names
    ]
    order = table.c.seq if "seq" in table.c else table.c.id
    first = sa.select(sa.func.min(order)).scalar_subquery()
    query = sa.select(*values).select_from(series.join(table, order == first))
    connection.execute(sa.insert(table).from_select(names, query, include_defaults=False))


def _is_serial(column: sa.Column[Any]) -> bool:
    return column.primary_key and column.autoincrement is True

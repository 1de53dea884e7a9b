"""What pages and lists ask for is found by an index: with a million rows a look at each takes a second."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot.model import build, delivery
from bot.store import Store, about, branches, budgets, builds, checks, counts, inbox_list, jobs
from tests.databases import on_sqlite

#: The rows of a table in their order, all of them; a scan of a partial index is none.
_WHOLE = re.compile(r"SCAN \w+(?: USING (?:COVERING )?INDEX sqlite_autoindex\w+)?")
_NARROWED: dict[str, dict[str, Any]] = {
    "all": {},
    "a repository": {"repository": "octo/hello"},
    "a state": {"states": (build.State.FAILED,)},
    "a pull request": {"pull_number": 7},
    "a ref": {"ref": "refs/heads/main"},
    "what somebody may see": {"among": [1, 2]},
    "one that somebody may see": {"among": [1]},
    "all that can be asked for": {"repository": "octo/hello", "pull_number": 7, "among": [1, 2], "before_id": "9"},
}


def _of_head(head: str, more: dict[str, Any]) -> Callable[[Connection], object]:
    given: dict[str, Any] = {head: "a" * 40, **more}
    return partial(builds.list_newest, limit=20, **given)


_ASKED: dict[str, Callable[[Connection], object]] = {
    "builds by state": partial(builds.list_newest, limit=20, states=(build.State.ERRORED,)),
    "builds of a repository": partial(builds.list_newest, limit=20, repository="octo/hello"),
    **{
        f"builds of a {head}, of {name}": _of_head(head, more)
        for head in ("head_ref", "head_sha")
        for name, more in _NARROWED.items()
    },
    "builds of a commit": partial(about.list_builds_of_head, head_sha="a" * 40, limit=20),
    "builds of a commit that somebody may see": partial(
        about.list_builds_of_head, head_sha="a" * 40, limit=20, among=[1, 2]
    ),
    "commits that begin so": partial(about.list_shas, prefix="a" * 7, limit=20),
    "builds of a delivery": partial(builds.list_of_delivery, delivery_id="g-1"),
    "builds of a ref": partial(branches.list_of_ref, repository_id=1, ref="refs/heads/main", limit=500),
    "the last builds of a repository": partial(branches.list_newest, repository="octo/hello", repository_id=1),
    "jobs of a build": partial(jobs.list_of_builds, build_ids=["b"]),
    "jobs by state": builds.count_jobs_by_state,
    "wishes": partial(jobs.list_cancel_requested, owner="a"),
    "what waits": budgets.count_waiting,
    "stale checks": checks.count_stale,
    "parked deliveries, counted": counts.parked,
    "deliveries of an event": partial(inbox_list.list_newest, limit=20, event="release"),
    "handled deliveries of an event": partial(
        inbox_list.list_newest, limit=20, event="release", state=delivery.State.HANDLED
    ),
    "deliveries of a repository": partial(inbox_list.list_newest, limit=20, repository="octo/hello"),
    "deliveries of some": partial(inbox_list.list_newest, limit=2, among=range(9)),
    **{
        f"{state} deliveries": partial(inbox_list.list_newest, limit=20, state=state, before_seq=9)
        for state in delivery.State
    },
}


@on_sqlite
@pytest.mark.parametrize("ask", _ASKED.values(), ids=_ASKED)
async def test_a_list_is_found_by_an_index(store: Store, ask: Callable[[Connection], object]) -> None:
    said = await store.read(_plan, ask)
    assert said
    assert [line for line in said if _WHOLE.fullmatch(line)] == []


@on_sqlite
@pytest.mark.parametrize("ask", _ASKED.values(), ids=_ASKED)
async def test_the_newest_are_not_sorted(store: Store, ask: Callable[[Connection], object]) -> None:
    lists = (builds.list_newest, inbox_list.list_newest, branches.list_newest, branches.list_of_ref)
    # What is unfinished of some repositories is few.
    if isinstance(ask, partial) and ask.func in lists and "among" not in ask.keywords:
        assert "USE TEMP B-TREE FOR ORDER BY" not in await store.read(_plan, ask)


@on_sqlite
@pytest.mark.parametrize("more", _NARROWED.values(), ids=_NARROWED)
def test_of_a_head_no_other_index_is_taken(connection: Connection, more: dict[str, Any]) -> None:
    """Whatever else is asked for, and however few builds SQLite believes that there are of it."""
    connection.exec_driver_sql("ANALYZE sqlite_schema")
    others = connection.exec_driver_sql(
        "SELECT name FROM sqlite_schema"
        " WHERE tbl_name = 'builds' AND type = 'index' AND name NOT LIKE 'ix_builds_head%'"
    )
    said_of = [(name, "1000000 2 2 1") for (name,) in others]
    said_of += [(f"ix_builds_{head}", "1000000 90000 1") for head in ("head_ref", "head_sha")]
    connection.exec_driver_sql("INSERT INTO sqlite_stat1 VALUES ('builds', ?, ?)", said_of)
    connection.exec_driver_sql("ANALYZE sqlite_schema")
    for head in ("head_ref", "head_sha"):
        (said,) = _plan(connection, _of_head(head, more))
        assert said.startswith(f"SEARCH builds USING INDEX ix_builds_{head} ({head}=?"), said


def _plan(connection: Connection, ask: Callable[[Connection], object]) -> list[str]:
    """What SQLite says of how it finds what is asked for."""
    seen: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        seen.append((statement, parameters))

    sa.event.listen(connection, "before_cursor_execute", note)
    ask(connection)
    sa.event.remove(connection, "before_cursor_execute", note)
    return [
        row[3]
        for statement, parameters in seen
        for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
    ]

"""Caches: brought back before the first step, kept after the last, and apart by whose code wrote them."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bot.builds import caching as scopes
from bot.engines import contract
from bot.engines.local import caches
from bot.engines.local import engine as local
from bot.model import build, job
from tests import factories
from tests.engines import jobs

MAIN = contract.CacheScopes(write="main", read=("main",))
CACHE = job.Cache(key="deps-1", restore_keys=("deps-",), paths=("deps", "~/.cache/tool"))
FILL = "mkdir -p deps ~/.cache/tool; echo $TEXT > deps/a.txt; echo $TEXT > ~/.cache/tool/b.txt; ln -s a.txt deps/link"
LOOK = "cat deps/link ~/.cache/tool/b.txt"


def request(
    code: jobs.Code,
    *runs: str,
    text: str = "one",
    cache: job.Cache | Sequence[job.Cache] = CACHE,
    scope: contract.CacheScopes | None = MAIN,
    trust: build.Trust = build.Trust.TRUSTED,
) -> contract.JobRequest:
    made = jobs.make(code.source(trust=trust), *runs, env={"TEXT": text})
    kept = (cache,) if isinstance(cache, job.Cache) else tuple(cache)
    return dataclasses.replace(made, plan=msgspec.structs.replace(made.plan, caches=kept), cache_scopes=scope)


async def test_what_one_job_keeps_the_next_one_has(engine: local.Local, code: jobs.Code) -> None:
    first = await jobs.run(engine, request(code, "test ! -e deps", FILL))
    assert first.result == "passed", first.log
    assert "Cache: nothing for `deps-1`." in first.log
    assert "Cache: `deps-1` is kept" in first.log
    second = await jobs.run(engine, request(code, LOOK))
    assert second.result == "passed", second.log
    assert second.log.splitlines()[-2:] == ["one", "one"]
    assert "Cache: `deps-1`, 0.0 MiB" in second.log
    assert "is kept" not in second.log


async def test_the_newest_that_begins_like_a_restore_key_will_do(engine: local.Local, code: jobs.Code) -> None:
    await jobs.run(engine, request(code, FILL, text="old"))
    newer = replace(CACHE, key="deps-2")
    told = await jobs.run(engine, request(code, LOOK, FILL.replace("ln -s", "true"), text="new", cache=newer))
    assert told.result == "passed", told.log
    assert "Cache: `deps-1`, the newest for `deps-2`" in told.log
    told = await jobs.run(engine, request(code, LOOK, cache=replace(CACHE, key="deps-3")))
    assert told.log.splitlines()[1:3] == ["new", "new"], told.log
    told = await jobs.run(engine, request(code, "test ! -e deps", cache=replace(CACHE, key="x", restore_keys=())))
    assert told.result == "passed", told.log


async def test_a_key_may_depend_on_the_code(engine: local.Local, code: jobs.Code) -> None:
    cache = replace(CACHE, key="deps-${{ hashFiles('**/*.md') }}", restore_keys=())
    first = await jobs.run(engine, request(code, FILL, cache=cache))
    assert "Cache: nothing for `deps-" in first.log
    changed = code.repository.commit({"README.md": "other\n"}, parent=code.sha)
    again = await jobs.run(engine, request(code, LOOK, cache=cache))
    assert again.result == "passed", again.log
    other = request(code, "test ! -e deps", cache=cache)
    other = dataclasses.replace(other, source=code.source(changed, trust=build.Trust.TRUSTED))
    told = await jobs.run(engine, other)
    assert told.result == "passed", told.log


async def test_a_job_that_fails_keeps_nothing(engine: local.Local, code: jobs.Code) -> None:
    failed = await jobs.run(engine, request(code, f"{FILL}; exit 3"))
    assert (failed.result, failed.end.exit_code) == ("failed", 3)
    told = await jobs.run(engine, request(code, "test ! -e deps"))
    assert told.result == "passed", told.log


async def test_t78_a_strangers_build_writes_where_nobody_else_reads(engine: local.Local, code: jobs.Code) -> None:
    of_main = factories.make_build(event="push", ref="refs/heads/main", trust=build.Trust.TRUSTED)
    of_fork = factories.make_build(
        event="pull_request", ref="refs/pull/7/merge", pull_number=7, base_ref="main", trust=build.Trust.UNTRUSTED
    )
    main, fork = scopes.scopes(of_main), scopes.scopes(of_fork)
    poison = request(code, FILL, text="poison", scope=fork, trust=build.Trust.UNTRUSTED)
    await jobs.run(engine, poison)
    told = await jobs.run(engine, request(code, "test ! -e deps", FILL, text="good", scope=main))
    assert told.result == "passed", told.log
    # Its own comes first, then what the base left.
    again = await jobs.run(engine, dataclasses.replace(poison, job_id=jobs.new_id()))
    assert "Cache: `deps-1`, " in again.log
    other = scopes.scopes(replace(of_fork, pull_number=8, ref="refs/pull/8/merge"))
    told = await jobs.run(engine, request(code, LOOK, scope=other, trust=build.Trust.UNTRUSTED))
    assert told.log.splitlines()[-2:] == ["good", "good"]


async def test_other_paths_are_another_cache(engine: local.Local, code: jobs.Code) -> None:
    await jobs.run(engine, request(code, FILL))
    told = await jobs.run(engine, request(code, "test ! -e deps", cache=replace(CACHE, paths=("deps",))))
    assert told.result == "passed", told.log


@pytest.mark.parametrize(
    "hostile",
    [
        "rm -rf /tmp/.buildhook-cache-0; ln -s /etc/passwd /tmp/.buildhook-cache-0",
        "mkfifo /tmp/.buildhook-cache-0",
        "mkdir /tmp/.buildhook-cache-0",
        "rm -rf deps; ln -s / deps",
    ],
)
async def test_t78_what_a_job_packs_may_be_anything(engine: local.Local, code: jobs.Code, hostile: str) -> None:
    told = await jobs.run(engine, request(code, FILL, hostile))
    assert told.result == "passed", told.log
    again = await jobs.run(engine, request(code, "cat deps/etc/passwd || true"))
    assert again.result == "passed"
    assert "root:/bin/bash" not in again.log


async def test_a_wrong_key_fails_the_job(engine: local.Local, code: jobs.Code) -> None:
    told = await jobs.run(engine, request(code, "true", cache=replace(CACHE, key="${{ fromJSON('x') }}")))
    assert told.result == "failed"
    assert "fromJSON" in told.reason


async def test_a_job_without_scopes_has_no_caches(engine: local.Local, code: jobs.Code) -> None:
    told = await jobs.run(engine, request(code, FILL, scope=None))
    assert "Cache" not in told.log


@given(st.lists(st.text(max_size=8), max_size=4), st.lists(st.text(max_size=8), max_size=4))
def test_t79_no_two_lists_of_texts_share_a_name(left: list[str], right: list[str]) -> None:
    assert (caches.digest(*left) == caches.digest(*right)) == (left == right)


def test_t79_where_a_text_ends_makes_a_difference() -> None:
    assert caches.digest("a|b", "c") != caches.digest("a", "b|c")
    assert caches.digest("ab", "c") != caches.digest("a", "bc")


def test_what_is_of_no_use_is_let_go(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    made = {}
    for name, days in (("fresh", 1), ("old", 20)):
        path = tmp_path / "7" / "s" / "v" / f"{name}.tar"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
        path.with_suffix(".key").write_text(name)
        at = (now - timedelta(days=days)).timestamp()
        os.utime(path, (at, at))
        made[name] = path
    (tmp_path / "8").mkdir()
    caches.sweep(tmp_path, keep={7}, now=now)
    assert made["fresh"].exists()
    assert not made["old"].exists()
    assert not made["old"].with_suffix(".key").exists()
    assert not (tmp_path / "8").exists()

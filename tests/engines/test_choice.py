"""Which engine a job comes to, and several engines as one."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, strategies

from bot import engines, errors
from bot.engines import choice, contract, fleet, scripted
from tests import factories
from tests.engines import jobs

LABELS = {"near": frozenset({"linux", "x64"}), "far": frozenset({"linux", "gpu"}), "spare": frozenset[str]()}
SOURCE = contract.Source(
    repository_id=1, url="https://github.com/octo/hello.git", head_sha="a" * 40, base_sha=None, trust=jobs.TRUSTED
)
CHOICE = choice.Choice(default="local", labels=LABELS)


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ({}, "local"),
        ({"runs_on": "linux"}, "near"),
        ({"runs_on": "LINUX, X64"}, "near"),
        ({"runs_on": "gpu"}, "far"),
        ({"runs_on": "gpu, linux"}, "far"),
        ({"runs_on": " , "}, "local"),
        ({"engine": "spare"}, "spare"),
        ({"engine": "local", "runs_on": "gpu"}, "local"),
    ],
)
def test_the_first_engine_with_all_labels_or_the_one_that_is_named(asked: dict[str, str], name: str) -> None:
    assert CHOICE.of(factories.make_plan(**asked)) == name


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"runs_on": "gpu, x64"}, r"`runs-on: gpu, x64`. There is `linux`, `x64` on `near`; `gpu`, `linux` on `far`:"),
        ({"runs_on": "w" * 1000}, f"`runs-on: {'w' * 80}`"),
        ({"engine": "lokal"}, "no engine `lokal` here: write one of `local`, `near`, `far`, `spare`, or delete"),
    ],
)
def test_what_no_engine_takes_is_told_with_what_there_is(asked: dict[str, str], says: str) -> None:
    with pytest.raises(errors.EngineMissing) as raised:
        CHOICE.of(factories.make_plan(**asked))
    assert says in str(raised.value)


@given(strategies.none() | strategies.text(max_size=20))
def test_where_the_operator_named_no_engine_every_label_is_taken(runs_on: str | None) -> None:
    assert choice.Choice(default="local", labels={}).of(factories.make_plan(runs_on=runs_on)) == "local"


_words = strategies.text("abcAB", min_size=1, max_size=2)


@given(
    strategies.lists(_words, max_size=3),
    strategies.dictionaries(_words, strategies.frozensets(_words.map(str.lower), max_size=4), min_size=1, max_size=4),
)
def test_no_job_comes_to_an_engine_that_lacks_one_of_its_labels(
    asked: list[str], labels: dict[str, frozenset[str]]
) -> None:
    made = choice.Choice(default="d", labels=labels)
    wanted = {one.lower() for one in asked}
    able = [name for name, taken in labels.items() if wanted <= taken]
    try:
        found = made.of(factories.make_plan(runs_on=", ".join(asked) or None))
    except errors.EngineMissing:
        assert wanted
        assert not able
    else:
        assert found == (able[0] if wanted else "d")


class _Noting(scripted.Scripted):
    """Notes that it was opened and closed."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    async def open(self) -> None:
        self.told.append("open")

    async def close(self) -> None:
        self.told.append("close")


class _Broken(scripted.Scripted):
    """Can be neither opened nor swept."""

    async def open(self) -> None:
        raise errors.EngineError("It is broken.")

    async def sweep(self, *, keep: Collection[int], before: datetime) -> None:
        raise errors.EngineError("It is broken.")


async def test_a_job_starts_on_its_own_engine_and_is_found_there() -> None:
    one, two = scripted.Scripted(), scripted.Scripted()
    both = fleet.Fleet({"one": one, "two": two})
    request = dataclasses.replace(jobs.make(SOURCE, "true"), engine="two")
    await both.start(request)
    assert (one.started, two.started) == ([], [request])
    assert await both.find(request.job_id)
    assert both.name == "one, two"


async def test_what_only_one_engine_cannot_do_the_others_do() -> None:
    one, two = scripted.Scripted(), scripted.Scripted()
    both = fleet.Fleet({"one": _Broken(), "two": two, "three": one})
    with pytest.raises(errors.EngineError, match="It is broken"):
        await both.sweep(keep=[7], before=datetime.now(UTC))
    assert (one.kept, two.kept) == ([frozenset({7})], [frozenset({7})])
    with pytest.raises(errors.EngineError, match="There is no engine `four` here"):
        await both.start(dataclasses.replace(jobs.make(SOURCE, "true"), engine="four"))


async def test_where_one_engine_cannot_be_opened_the_others_are_let_go_of() -> None:
    one, three = _Noting(), _Noting()
    both = fleet.Fleet({"one": one, "two": _Broken(), "three": three})
    with pytest.raises(errors.EngineError, match="It is broken"):
        await both.open()
    assert (one.told, three.told) == (["open", "close"], [])


def test_one_engine_needs_no_fleet(tmp_path: Path) -> None:
    assert engines.load_all(("local",), data_dir=tmp_path, setup=contract.Setup()).name == "local"

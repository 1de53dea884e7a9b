"""The page of a repository: its branches, its pull requests, how long its builds took."""

from __future__ import annotations

import re
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from bot.model import build
from bot.store import builds, pulls
from bot.store.branches import Brief
from bot.web import trend
from tests import factories
from tests.web.conftest import Client
from tests.web.house import House
from tests.web.test_overview import part
from tests.web.test_pages import shown, words

PATH = "/repos/octo/hello"


async def add(house: House, *, seconds: int | None = None, state: str = "passed", **changes: object) -> build.Build:
    """A build of a branch, ended where it took so long."""
    new = await house.add_build(factories.make_build(**changes))
    if seconds is not None:
        await house.store.write(
            builds.save_state,
            new.build.id,
            state=build.State(state),
            started_at=factories.NOW,
            finished_at=factories.NOW + timedelta(seconds=seconds),
        )
    return new.build


async def test_branches_and_pull_requests_are_shown_with_the_newest_build_of_each(house: House, client: Client) -> None:
    payload = {"repository": {"default_branch": "main"}}
    await add(house, title="first", ref="refs/heads/main", seconds=5, state="failed")
    await add(house, title="second", ref="refs/heads/main", seconds=5, payload=payload)
    await add(house, title="a tag", ref="refs/tags/v1", seconds=5, payload=payload)
    for number in (7, 8):
        made = factories.make_pull_build(title=f"pull {number}", pull_number=number, payload=payload, head_ref="topic")
        await house.add_build(made)
    await add(house, title="side", ref="refs/heads/side", payload=payload, head_sha="a" * 40)
    closed = factories.make_pull(number=8, state="closed")
    await house.store.write(pulls.save, closed, now=factories.NOW)
    html = await shown(client, PATH)
    branches, its_pulls = part(html, "branches"), part(html, "pulls")
    assert branches.index("main the default second") < branches.index("side")
    assert "first" not in branches
    assert "a tag" not in branches
    assert its_pulls.index("#7 topic pull 7") < its_pulls.index("#8 topic closed pull 8")
    assert 'href="?branch=side"' in html
    assert 'href="?pull=7"' in html


async def test_the_builds_of_one_branch_or_pull_request_are_listed_alone(house: House, client: Client) -> None:
    for title, ref in (("one", "refs/heads/main"), ("two", "refs/heads/a/b"), ("three", "refs/heads/a/b")):
        await add(house, title=title, ref=ref, seconds=9)
    await house.add_build(factories.make_pull_build(title="four", pull_number=7))

    async def titles(query: str) -> list[str]:
        return re.findall(r'class="row-title"[^>]*>([^<]+)<', await shown(client, PATH + query))

    assert await titles("?branch=a%2Fb") == ["three", "two"]
    assert await titles("?branch=a/b&state=failed") == []
    assert await titles("?pull=7") == ["four"]
    assert await titles("?pull=8") == []
    assert len(await titles("")) == 4
    html = await shown(client, f"{PATH}?branch=a/b")
    assert 'name="branch" value="a/b"' in html
    assert "How long builds of a/b took" in html
    assert (await client.get(f"{PATH}?pull=x")).status == 400


async def test_what_another_repository_has_under_the_same_name_is_not_shown(house: House, client: Client) -> None:
    await add(house, title="of the old one", repository_id=1, seconds=9)
    await add(house, title="of the new one", repository_id=2, seconds=9)
    text = words(await shown(client, PATH))
    assert "of the new one" in text
    assert "of the old one" not in text


async def test_the_trend_says_in_words_what_it_draws(house: House, client: Client) -> None:
    for seconds, state in ((60, "passed"), (120, "failed"), (90, "passed")):
        await add(house, seconds=seconds, state=state, title=f"It is {state}")
    html = await shown(client, PATH)
    told = "Of the last 3 builds 2 passed. Half took at most 1 min 30 s; the last took 1 min 30 s."
    assert told in words(html)
    assert f'role="img" aria-label="{told}"' in html
    assert html.count('class="s-failed hollow"') == 1
    assert html.count('class="s-passed"') == 2


def brief(state: build.State, seconds: float | None) -> Brief:
    end = None if seconds is None else factories.NOW + timedelta(seconds=seconds)
    return Brief(
        event="push",
        base_ref=None,
        id=factories.new_id(),
        ref="refs/heads/main",
        head_ref=None,
        pull_number=None,
        head_sha=factories.HEAD_SHA,
        title="",
        state=state,
        created_at=factories.NOW,
        started_at=factories.NOW,
        finished_at=end,
    )


@given(st.lists(st.tuples(st.sampled_from(sorted(build.State)), st.none() | st.floats(-5, 1e6)), max_size=70))
def test_bars_stay_inside_the_drawing_side_by_side(made: list[tuple[build.State, float | None]]) -> None:
    found = [brief(state, seconds) for state, seconds in made]
    drawn = trend.draw(found)
    ended = [one for one in found if one.seconds is not None]
    if len(ended) < 2:
        assert drawn is None
        return
    assert drawn is not None
    assert len(drawn.bars) == min(len(ended), trend.MOST)
    for bar, following in zip(drawn.bars, drawn.bars[1:], strict=False):
        assert bar.x + bar.width <= following.x
    for bar in drawn.bars:
        assert bar.x >= 0
        assert bar.x + bar.width <= trend.WIDTH
        assert bar.y + bar.height <= trend.HEIGHT + 0.01
        assert bar.y >= -0.01
    # The newest is on the right, and bears what came of it.
    assert drawn.bars[-1].is_well == (ended[0].state == build.State.PASSED)

"""The drawings of a build: the graph of its jobs, and the bars of where the time went."""

from __future__ import annotations

import itertools
import re
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bot.builds import timing
from bot.model import build, job
from bot.web import graph, waterfall
from bot.web.pages import build as build_page
from tests import factories
from tests.web.conftest import Client
from tests.web.house import House
from tests.web.test_pages import shown, words


def jobs_of(*needs: tuple[str, tuple[str, ...], int]) -> list[job.Job]:
    """Jobs as (key, needs, how many of a matrix)."""
    return [
        factories.make_job(plan=factories.make_plan(key=f"{key} {n}", name=f"{key} {n}", group=key, needs=of))
        for key, of, count in needs
        for n in range(count)
    ]


def drawn(*needs: tuple[str, tuple[str, ...], int]) -> graph.Graph | None:
    return graph.draw(build_page.stages(jobs_of(*needs)))


def test_the_jobs_of_a_matrix_share_a_box_and_lines_lead_from_what_is_needed() -> None:
    found = drawn(("lint", (), 1), ("test", (), 3), ("package", ("lint", "test"), 1), ("publish", ("package",), 1))
    assert found is not None
    assert [(box.key, box.heading, len(box.lines)) for box in found.boxes] == [
        ("lint", "", 1),
        ("test", "test", 3),
        ("package", "", 1),
        ("publish", "", 1),
    ]
    assert [(edge.source, edge.target) for edge in found.edges] == [
        ("lint", "package"),
        ("test", "package"),
        ("package", "publish"),
    ]


def test_nothing_is_drawn_that_a_list_says_as_well() -> None:
    assert drawn() is None
    assert drawn(("a", (), 5)) is None
    assert drawn(*((f"k{n}", ("k0",) if n else (), 1) for n in range(graph.MOST_BOXES + 1))) is None


def test_long_names_and_large_matrices_are_cut() -> None:
    found = drawn(("a" * 99, (), graph.MOST_JOBS + 5), ("b", ("a" * 99,), 1))
    assert found is not None
    box = found.boxes[0]
    assert (len(box.lines), box.more) == (graph.MOST_JOBS, 5)
    assert all(line.text.endswith("…") and len(line.text) < 25 for line in box.lines)


@given(
    shape=st.lists(st.tuples(st.frozensets(st.integers(0, 8), max_size=3), st.integers(1, 15)), min_size=1, max_size=9)
)
def test_boxes_lie_inside_and_never_on_each_other_and_lines_go_one_way(
    shape: list[tuple[frozenset[int], int]],
) -> None:
    found = drawn(
        *((f"k{n}", tuple(f"k{of}" for of in sorted(needs) if of < n), count) for n, (needs, count) in enumerate(shape))
    )
    if found is None:
        return
    by_key = {box.key: box for box in found.boxes}
    for one, other in itertools.combinations(found.boxes, 2):
        assert one.x != other.x or one.y + one.height < other.y or other.y + other.height < one.y
    for box in found.boxes:
        assert box.x + box.width <= found.width
        assert box.y + box.height <= found.height
        assert all(box.y < line.y and line.y + graph.ROW <= box.y + box.height for line in box.lines)
    for edge in found.edges:
        assert by_key[edge.source].x < by_key[edge.target].x
    assert len(found.edges) == sum(len({of for of in needs if of < n}) for n, (needs, _) in enumerate(shape))


def test_bars_stay_within_the_whole_and_the_shortest_can_be_seen() -> None:
    one, other = (
        replace(
            factories.make_job(),
            started_at=factories.NOW + timedelta(seconds=a),
            finished_at=factories.NOW + timedelta(seconds=z),
        )
        for a, z in ((2, 100), (100, 100))
    )
    found = waterfall.draw(timing.of([one, other], made_at=factories.NOW, now=factories.NOW))
    assert found is not None
    assert [(row.wait_x, row.wait_width, row.run_x, row.run_width) for row in found.rows] == [
        (0.0, 2.0, 2.0, 98.0),
        (0.0, 100.0, 99.6, 0.4),
    ]
    assert found.rows[0].text == "1 min 38 s, waited 2 s"
    assert waterfall.draw(timing.of([one], made_at=factories.NOW, now=factories.NOW)) is None


async def test_the_page_of_a_build_has_its_graph_its_reasons_and_its_bars(house: House, client: Client) -> None:
    made = factories.make_build(title="Drawn")
    jobs = jobs_of(("lint", (), 1), ("test", ("lint",), 1), ("publish", ("test",), 1))
    times = ((1, 30), (40, 90), None)
    await house.add_build(made, *jobs)
    for one, time in zip(jobs, times, strict=True):
        at = [factories.NOW + timedelta(seconds=seconds) for seconds in time or ()]
        await house.save_job(
            replace(one, build_id=made.id),
            state=job.State.PASSED if at else job.State.WAITING,
            started_at=at[0] if at else None,
            finished_at=at[1] if at else None,
        )
    await house.save_build(made.id, state=build.State.RUNNING)
    html = await shown(client, f"/builds/{made.id}")
    text = words(html)
    drawing = html.partition('class="graph"')[2].partition("</div>")[0]
    assert re.findall(r'aria-label="([^"]+)"><title>', drawing) == [
        "lint 0: Passed",
        "test 0: Passed",
        "publish 0: Waiting",
    ]
    assert drawing.count('class="edge"') == 2
    assert "publish 0 It waits until it is its turn in its build." in text
    assert "Critical path: lint 0 → test 0: 1 min 31 s from its making to the last end, 12 s of it waiting" in text
    assert html.count("<strong>critical</strong>") == 2

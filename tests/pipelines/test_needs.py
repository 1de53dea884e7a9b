"""Needs: every circle is found, once, and nothing else is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bot.pipelines import needs

_KEYS = [f"job{number}" for number in range(6)]
_graphs = st.fixed_dictionaries(
    {key: st.lists(st.sampled_from([*_KEYS, "nobody"]), max_size=3).map(tuple) for key in _KEYS}
)


def _reached(graph: dict[str, tuple[str, ...]], key: str) -> set[str]:
    found: set[str] = set()
    ahead = list(graph[key])
    while ahead:
        one = ahead.pop()
        if one in graph and one not in found:
            found.add(one)
            ahead += graph[one]
    return found


@given(_graphs)
def test_a_circle_is_a_way_from_a_job_to_itself(graph: dict[str, tuple[str, ...]]) -> None:
    found = needs.circles(graph)
    for circle in found:
        for one, following in zip(circle, (*circle[1:], circle[0]), strict=True):
            assert following in graph[one]
        assert circle[0] == min(circle, key=list(graph).index)
    assert bool(found) == any(key in _reached(graph, key) for key in graph)


@given(_graphs)
def test_no_job_is_in_two_circles(graph: dict[str, tuple[str, ...]]) -> None:
    named = [key for circle in needs.circles(graph) for key in circle]
    assert len(named) == len(set(named))

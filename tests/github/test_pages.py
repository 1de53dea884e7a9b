"""Lists in pages: where they end, how far they are read, and what a page says of the next one."""

from __future__ import annotations

import io
from collections.abc import Mapping

import pytest

from bot import errors
from bot.github import classify, pages

PREVIOUS = '<https://api.github.com/x?page=1>; rel="prev", <https://api.github.com/x?page=1>; rel="first"'
NEXT = '<https://api.github.com/x?a=%3Cb%3E&page=2>; rel="next", <https://api.github.com/x?page=9>; rel="last"'


def _answer(link: str | None) -> classify.Answer:
    return classify.Answer(status=200, headers={} if link is None else {"link": link}, body=b"")


class _List:
    """A list whose pages have these many entries and these `Link` headers."""

    def __init__(self, *given: tuple[int, str | None]) -> None:
        self._given = given
        self.asked: list[Mapping[str, str | int]] = []

    async def fetch(self, query: Mapping[str, str | int]) -> classify.Answer:
        self.asked.append(query)
        return _answer(self._given[min(len(self.asked), len(self._given)) - 1][1])

    def read(self, _answer: classify.Answer) -> list[int]:
        return [len(self.asked)] * self._given[min(len(self.asked), len(self._given)) - 1][0]

    async def walk(self) -> list[int]:
        return await pages.walk(self.fetch, self.read, most_pages=10, what="things")


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ([(0, None)], 1),
        ([(99, None)], 1),
        # GitHub leaves out what we may not see, so a page that is not full need not be the last.
        ([(7, NEXT), (0, NEXT), (3, PREVIOUS)], 3),
        ([(100, NEXT), (100, PREVIOUS)], 2),
        # Without the header a full page may be the last one or not.
        ([(100, None), (0, None)], 2),
    ],
)
async def test_a_list_is_read_to_its_end(given: list[tuple[int, str | None]], asked: int, log: io.StringIO) -> None:
    made = _List(*given)
    assert len(await made.walk()) == sum(count for count, _ in given)
    assert made.asked == [{"per_page": 100, "page": number} for number in range(1, asked + 1)]
    assert "list_cut" not in log.getvalue()


async def test_a_list_without_end_is_read_to_a_bound_that_is_told(log: io.StringIO) -> None:
    made = _List((100, NEXT))
    assert len(await made.walk()) == 1000
    assert len(made.asked) == 10
    assert '"action":"list_cut"' in log.getvalue().replace(" ", "")


@pytest.mark.parametrize(
    ("link", "cursor"),
    [
        (None, None),
        ("", None),
        ("nonsense", None),
        (PREVIOUS, None),
        ('<https://api.github.com/x?cursor=v1_1>; rel="prev", <https://api.github.com/y>; rel="nextish"', None),
        ('<https://api.github.com/x?per_page=1&cursor=v1_23>; rel="next"', "v1_23"),
        ("</x?cursor=a%2Bb%3D>; rel=next", "a+b="),
        ('<https://h/x?cursor=old>; rel="prev", <https://h/x?cursor=new,er>; title="x"; rel="next"', "new,er"),
    ],
)
def test_the_next_page_is_where_github_says(link: str | None, cursor: str | None) -> None:
    assert pages.next_cursor(_answer(link), what="GET /x") == cursor


@pytest.mark.parametrize("link", [NEXT, '<https://h/x?cursor=>; rel="next"', '<http://[>; rel="next"'])
def test_a_next_page_that_is_nowhere_is_not_the_end(link: str) -> None:
    with pytest.raises(errors.GitHubUnavailable, match="GET /x"):
        pages.next_cursor(_answer(link), what="GET /x")

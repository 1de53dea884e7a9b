"""Text is found in all of a log, growing or packed, in what can be read of each line, and never taken for a pattern."""

from __future__ import annotations

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from bot.model import job
from bot.web import loglines, logparts, logsearch, scanning
from bot.web.logsearch import Found, Wanted
from tests import factories
from tests.web.conftest import Client
from tests.web.house import HTML, House


def hits(data: bytes, text: str, *, is_exact: bool = False) -> list[int]:
    return logsearch.hits(data, Wanted(text=text, is_exact=is_exact), number=1, limit=99)


def test_capital_letters_count_only_if_wanted() -> None:
    data = "Error\nerror\nÄRGER\närger\n".encode()
    assert (hits(data, "ERROR"), hits(data, "error", is_exact=True)) == ([1, 2], [2])
    assert (hits(data, "Ärger"), hits(data, "ärger", is_exact=True)) == ([3, 4], [4])


@pytest.mark.parametrize("text", [".*", "a|b", "[x]", "(", "\\d", "^", "$", "%s", "<b>"])
def test_what_looks_like_a_pattern_is_plain_text(text: str) -> None:
    assert hits(f"abx1\n{text}\n".encode(), text) == [2]


def test_colours_do_not_hide_text_and_are_not_found() -> None:
    data = b"\x1b[31mer\x1b[1;31mror\x1b[0m\n\x1b]0;error title\x07fine\n\x1b[38;5;120mx\n\x1b[2Kerror\n"
    assert hits(data, "error") == [1, 4]
    assert hits(data, "31m") == hits(data, "120") == []


def test_what_was_written_over_is_not_found() -> None:
    data = b"error: 1\rall is well\nerror\r\ngood\rerror\n"
    assert hits(data, "error") == [2, 3]


words = st.lists(
    st.sampled_from([b"a", b"A", b"b", b"\n", b"\r", b"\x1b[31m", b"\xc3\xa4", b"\xff", b" "]), max_size=40
)


@given(words, st.sampled_from(["a", "ab", "b", "aa", "ä", "bä"]), st.booleans())
def test_exactly_the_lines_are_found_whose_text_has_it(parts: list[bytes], text: str, is_exact: bool) -> None:
    data = b"".join(parts)
    shown = [loglines.text(line) for line in data.split(b"\n")]
    expected = [at for at, one in enumerate(shown, 1) if (text in one if is_exact else text in one.lower())]
    assert hits(data, text, is_exact=is_exact) == expected


async def test_all_of_a_log_is_searched_whatever_is_read_at_a_time(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanning, "STEP_BYTES", 100)
    job_id = factories.new_id()
    # One line is longer than what is read at a time, with the text where it is cut.
    data = (
        b"".join(b"line %d\n" % number for number in range(1, 300)) + b"x" * 97 + b"needle" + b"y" * 300 + b"\nneedle"
    )
    await house.logs.append(job_id, offset_bytes=0, data=data)
    for is_packed in (False, True):
        if is_packed:
            await house.logs.seal(job_id)

        async def search(text: str, *, after: int = 0, limit: int = 99) -> Found:
            return await logsearch.search(house.logs, job_id, Wanted(text=text), after=after, limit=limit)

        assert await search("needle") == Found(lines=(300, 301), has_more=False)
        assert await search("LINE 7") == Found(lines=(7, *range(70, 80)), has_more=False)
        assert await search("line", after=290, limit=5) == Found(lines=(291, 292, 293, 294, 295), has_more=True)
        assert await search("line", after=295, limit=5) == Found(lines=(296, 297, 298, 299), has_more=False)
        assert await search("line", after=999) == await search("") == Found(lines=(), has_more=False)


@pytest.mark.parametrize("before", [*range(94, 101), *range(194, 201)])
async def test_text_is_found_where_a_very_long_line_is_cut(
    house: House, monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    monkeypatch.setattr(scanning, "STEP_BYTES", 100)
    job_id = factories.new_id()
    await house.logs.append(job_id, offset_bytes=0, data=b"x" * before + b"needle" + b"y" * 300 + b"\nneedle")
    found = await logsearch.search(house.logs, job_id, Wanted(text="needle"))
    assert found == Found(lines=(1, 2), has_more=False)


async def test_nobody_waits_for_a_search_any_more_and_it_ends(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanning, "STEP_BYTES", 100)
    job_id = factories.new_id()
    await house.logs.append(job_id, offset_bytes=0, data=b"line\n" * 1000)
    answers = iter([True, True, False])
    found = await logsearch.search(house.logs, job_id, Wanted(text="line"), is_asked=lambda: next(answers))
    assert 0 < len(found.lines) < 100


async def test_t101_f60_few_logs_are_looked_through_at_once() -> None:
    scans = scanning.Scans()
    places = [scans.place() for _ in range(scanning.AT_ONCE)]
    for place in places:
        await place.__aenter__()
    scans._open = scanning.AT_ONCE + scanning.MAX_WAITING
    with pytest.raises(web.HTTPServiceUnavailable) as refused:
        async with scans.place():
            pass
    assert refused.value.headers["Retry-After"] == "2"
    for place in places:
        await place.__aexit__(None, None, None)


# The routes.


async def test_the_route_answers_line_numbers_and_a_log_that_grows_is_searched_on(house: House, client: Client) -> None:
    one = await house.add_job(log=b"a needle\nb\nno Needle")

    async def ask(query: str) -> object:
        answer = await client.get(f"/jobs/{one.id}/search?{query}")
        assert answer.status == 200
        return await answer.json()

    assert await ask("q=needle") == {"lines": [1, 3], "has_more": False}
    assert await ask("q=Needle&case=exact") == {"lines": [3], "has_more": False}
    assert await ask("q=") == {"lines": [], "has_more": False}
    await house.append(one, b"\nneedle\n")
    assert await ask("q=needle&from=4") == {"lines": [4], "has_more": False}
    assert (await client.get(f"/jobs/{one.id}/search?q={'x' * 201}")).status == 400
    assert (await client.get(f"/jobs/{one.id}/search?q=x&from=0")).status == 400


async def test_the_page_itself_tells_what_was_found(house: House, client: Client) -> None:
    one = await house.add_job(log=b"<b>needle</b>\n" * 60 + b"x\n", state=job.State.PASSED)
    html = await (await client.get(f"/jobs/{one.id}?q=Needle", headers=HTML)).text()
    found = html[html.index('id="found"') : html.index('id="log"')]
    assert "60 lines with “Needle”; the first 50 are shown." in found
    assert found.count("&lt;b&gt;needle&lt;/b&gt;") == 50
    assert 'href="?line=50#L50"' in found
    html = await (await client.get(f"/jobs/{one.id}?q=bogus", headers=HTML)).text()
    assert "0 lines with “bogus”." in html


async def test_t84_lines_are_fetched_by_number_as_the_page_has_them(house: House, client: Client) -> None:
    data = b"".join(b"line %d <i>\n" % number for number in range(1, 2000))
    steps = (factories.make_step_result(log_start_bytes=data.index(b"line 1200 "), log_end_bytes=len(data)),)
    one = await house.add_job(log=data, state=job.State.FAILED, steps=steps)
    await house.logs.seal(one.id)
    answer = await client.get(f"/jobs/{one.id}/lines?first=1000")
    html = await answer.text()
    assert 'data-first="1000" data-last="1499" data-total="1999"' in html
    assert '<span class="t">line 1499 &lt;i&gt;</span>' in html
    assert html.index('data-line="1200">test</h3>') < html.index('id="L1200"')
    few = await (await client.get(f"/jobs/{one.id}/lines?first=1998&limit=1")).text()
    assert few.count("id=") == 1
    many = await (await client.get(f"/jobs/{one.id}/lines?first=1&limit=100000")).text()
    assert many.count("id=") == logparts.PART_LINES
    assert (await client.get(f"/jobs/{one.id}/lines?first=x")).status == 400


async def test_groups_are_answered_with_the_failed_one_open(house: House, client: Client) -> None:
    data = b"::group::one\na\n::endgroup::\n::group::two\nbad\n::endgroup::\n"
    steps = (factories.make_step_result(state="failed", exit_code=1, log_end_bytes=len(data)),)
    one = await house.add_job(log=data, state=job.State.FAILED, steps=steps)
    for _ in range(2):
        answer = await client.get(f"/jobs/{one.id}/groups")
        assert await answer.json() == {"groups": [[1, 3, False], [4, 6, True]]}


async def test_what_is_asked_of_a_log_that_is_gone_says_so(house: House, client: Client) -> None:
    one = await house.add_job(log=b"x\n", state=job.State.PASSED, log_size_bytes=2)
    await house.logs.delete(one.id)
    for path in ("lines", "search?q=x", "groups"):
        assert (await client.get(f"/jobs/{one.id}/{path}")).status == 410

"""T95: after signing in somebody comes to a page of ours, whatever the link to the sign-in said."""

from __future__ import annotations

from urllib.parse import quote, urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.people import places

OURS = "https://builds.example.com"
_STARTS = (
    "//evil.com",
    "///evil.com",
    "/\\evil.com",
    "\\\\evil.com",
    "/\\/evil.com",
    "/%2f%2fevil.com",
    "/%2Fevil.com",
    "/%5cevil.com",
    "/%252fevil.com",
    "/%09/evil.com",
    "/\t/evil.com",
    "/\n/evil.com",
    "/\r\n/evil.com",
    "http://evil.com",
    "https://evil.com",
    "https:evil.com",
    "http:/\\evil.com",
    "javascript:alert(1)",
    "data:text/html,x",
    "vbscript:x",
    "//evil.com@builds.example.com",
    "https://builds.example.com@evil.com",
    "https://builds.example.com.evil.com",
    "//google%E3%80%82com",
    "/。/evil.com",
    "〱evil.com",
    " //evil.com",
    "\x00//evil.com",
    "/\x00/evil.com",
    "/x\r\nSet-Cookie: a=b",
    "/x%0d%0aSet-Cookie:%20a=b",
    "/x%0aLocation:%20//evil.com",
    "/x\u2028y",
    "evil.com",
    "./evil",
    "../evil",
    "?next=//evil.com",
    "#//evil.com",
    "",
    "/" + "a" * 2000,
)
EVIL = [*_STARTS, *(quote(one) for one in _STARTS if one.startswith(("//", "/\\", "\\", "http")))]
EVIL += ["/login", "/login/start?next=/", "/login/callback?code=1&state=2", "/logout"]
EVIL += [f"{one}/%2e%2e" for one in ("//evil.com", "/\\evil.com", "http://evil.com", "/%2f%2fevil.com")]
EVIL += [one.upper() for one in ("http://evil.com", "https://evil.com", "javascript:alert(1)", "/%5Cevil.com")]


def test_t95_the_corpus_is_as_large_as_it_should_be() -> None:
    assert len(set(EVIL)) >= 60


@pytest.mark.parametrize("wanted", EVIL)
def test_t95_no_link_leads_away_from_us(wanted: str) -> None:
    assert places.after(wanted) == "/"


@pytest.mark.parametrize(
    "wanted",
    ["/", "/builds/01JB", "/jobs/01JB?from=3", "/?state=failed&repository=octo/hello", "/explain?q=octo/hello%237"],
)
def test_the_page_that_was_wanted_comes_next(wanted: str) -> None:
    assert places.after(wanted) == wanted


@given(st.text(st.sampled_from("/\\%25fFcC?#.:@ax\t\n\r\x00 。"), max_size=20))
def test_t95_whatever_is_taken_stays_on_our_origin(wanted: str) -> None:
    target = places.after(wanted)
    for one in (target, target.replace("\\", "/"), target.replace("%2f", "/").replace("%2F", "/").replace("%5c", "/")):
        found = urlsplit(urljoin(OURS + "/login", one))
        assert (found.scheme, found.netloc) == ("https", "builds.example.com")
    assert target.isascii()
    assert target.isprintable()

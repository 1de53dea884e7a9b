"""T16: who is believed of where a request came from. Forged headers never change what anybody else is taken as."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from bot import errors, proxies
from bot.proxies import Headers, look
from bot.settings import load
from bot.visitors import Shares, Visitors
from tests import factories

OURS = proxies.parse("127.0.0.1, ::1 10.0.0.0/8,fd00::/8")
ADDRESSES = st.one_of(st.ip_addresses().map(str), st.sampled_from(["10.1.1.1", "127.0.0.1", "fd00::7", "203.0.113.9"]))
#: What an attacker writes: near to what means something, and anything.
TEXTS = st.one_of(
    st.text(alphabet='for=proto;host"\\,[]:. 0123456789abcdef', max_size=60),
    st.text(max_size=40),
    ADDRESSES,
    st.builds("for={}".format, ADDRESSES),
    st.builds('for="[{}]";proto=https'.format, ADDRESSES),
)
LINES = st.lists(TEXTS, max_size=4).map(tuple)
FORGED = st.builds(Headers, forwarded=LINES, x_for=LINES, x_proto=LINES, x_host=LINES)


class Peer:
    """A connection from somewhere."""

    def __init__(self, address: str) -> None:
        self.address = address

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return (self.address, 4711) if name == "peername" else default


def request_from(address: str, **headers: str) -> web.Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return make_mocked_request("GET", "/", named, transport=Peer(address))


@given(peer=st.ip_addresses().map(str), headers=FORGED)
def test_t16_headers_of_whoever_is_no_proxy_change_nothing(peer: str, headers: Headers) -> None:
    plain = look(peer, Headers(), trusted=())
    seen = look(peer, headers, trusted=())
    assert (seen.address, seen.scheme, seen.host) == (plain.address, None, None)
    if not any(ipaddress.ip_address(peer) in one for one in OURS):
        assert look(peer, headers, trusted=OURS).address == plain.address


@given(
    client=st.ip_addresses().map(str), lines=LINES, header=st.sampled_from(["X", "Forwarded"]), is_line=st.booleans()
)
def test_t16_what_a_client_gives_a_proxy_does_not_make_it_another(
    client: str, lines: tuple[str, ...], header: str, is_line: bool
) -> None:
    """A proxy writes its client behind what that sent, on a line of its own or on the same."""
    if any(ipaddress.ip_address(client) in one for one in OURS):
        return
    shown = f'for="[{client}]"' if ":" in client else f"for={client}"
    wrote = client if header == "X" else shown
    given_on = (*lines, wrote) if is_line else (", ".join((*lines, wrote)),)
    headers = Headers(x_for=given_on) if header == "X" else Headers(forwarded=given_on)
    seen = look("10.0.0.5", headers, trusted=OURS)
    expected = look(client, Headers(), trusted=()).address
    # Where it wrote what cannot be read as a whole, nobody is believed: then the proxy itself is all that is known.
    assert seen.address in ({expected} if header == "X" else {expected, "10.0.0.5"})
    assert seen.is_client is (seen.address == expected)


@given(headers=FORGED, client=st.sampled_from(["203.0.113.9", "2001:db8::9"]))
def test_t16_a_header_that_the_proxy_passes_on_does_not_stand_over_its_own(headers: Headers, client: str) -> None:
    """Most proxies write `X-Forwarded-For` and leave `Forwarded` as it came."""
    both = Headers(forwarded=headers.forwarded, x_for=(*headers.x_for, client))
    assert look("10.0.0.5", both, trusted=OURS).address in {client, "10.0.0.5"}


@given(headers=FORGED, peer=st.sampled_from(["10.0.0.5", "::1", "198.51.100.1", "", "nonsense", "fe80::1%eth0"]))
def test_whatever_comes_gives_an_address_a_scheme_and_a_host_that_are_such(headers: Headers, peer: str) -> None:
    seen = look(peer, headers, trusted=OURS)
    if seen.address not in ("", "nonsense"):
        ipaddress.ip_address(seen.address)
    assert seen.scheme in (None, "http", "https")
    assert seen.host is None or not set(seen.host) & set("/@\\ \"'<>#?")


@pytest.mark.parametrize(
    ("peer", "headers", "address"),
    [
        ("203.0.113.9", Headers(), "203.0.113.9"),
        ("203.0.113.9", Headers(x_for=("1.2.3.4",)), "203.0.113.9"),
        ("10.0.0.5", Headers(x_for=("1.2.3.4, 203.0.113.9",)), "203.0.113.9"),
        ("10.0.0.5", Headers(x_for=("1.2.3.4, 203.0.113.9, 10.0.0.6",)), "203.0.113.9"),
        ("10.0.0.5", Headers(x_for=("1.2.3.4", "203.0.113.9, 10.0.0.6")), "203.0.113.9"),
        ("::ffff:10.0.0.5", Headers(x_for=("203.0.113.9:4711",)), "203.0.113.9"),
        ("10.0.0.5", Headers(x_for=("[2001:db8::9]:4711",)), "2001:db8::9"),
        ("10.0.0.5", Headers(x_for=("2001:db8::9",)), "2001:db8::9"),
        ("fd00::1", Headers(forwarded=('for="[2001:db8::9]:80";proto=https;by=10.0.0.1',)), "2001:db8::9"),
        ("10.0.0.5", Headers(forwarded=("for=192.0.2.60, for=198.51.100.17",)), "198.51.100.17"),
        ("10.0.0.5", Headers(forwarded=("for=203.0.113.9",), x_for=("203.0.113.9",)), "203.0.113.9"),
        # Nobody is named, or two are: the proxy is all that is known.
        ("10.0.0.5", Headers(x_for=("unknown",)), "10.0.0.5"),
        ("10.0.0.5", Headers(forwarded=("for=_hidden",)), "10.0.0.5"),
        ("10.0.0.5", Headers(forwarded=("for=1.2.3.4",), x_for=("203.0.113.9",)), "10.0.0.5"),
        # An open quote that would take in what the proxy wrote behind it.
        ("10.0.0.5", Headers(forwarded=('for=6.6.6.6, by="x, for="[2001:db8::9]"',)), "10.0.0.5"),
        # All are proxies of ours: the first of them asked for itself.
        ("10.0.0.5", Headers(x_for=("10.0.0.7, 10.0.0.6",)), "10.0.0.7"),
    ],
)
def test_t16_the_client_is_the_rightmost_hop_that_is_no_proxy_of_ours(
    peer: str, headers: Headers, address: str
) -> None:
    assert look(peer, headers, trusted=OURS).address == address


def test_the_scheme_and_the_host_are_what_the_proxy_wrote_last() -> None:
    seen = look(
        "10.0.0.5", Headers(x_for=("1.2.3.4",), x_proto=("ftp, HTTPS",), x_host=("Ci.Example.org",)), trusted=OURS
    )
    assert (seen.scheme, seen.host) == ("https", "ci.example.org")
    seen = look(
        "10.0.0.5", Headers(forwarded=('for=1.2.3.4;proto=http;host="a.org:80"',), x_proto=("https",)), trusted=OURS
    )
    assert (seen.scheme, seen.host) == (None, "a.org:80")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("proxy.example.org", "is no address and no network"),
        ("*", "is no address and no network"),
        ("10.0.0.5, 10.0.0.300", "'10.0.0.300' is no address"),
        ("fe80::1%eth0", "is no address"),
        ("10.0.0.1/8", "write 10.0.0.0/8"),
        ("0.0.0.0/0", "is everybody"),
        ("::/0", "is everybody"),
    ],
)
def test_a_wrong_list_stops_the_start_with_one_line(text: str, why: str) -> None:
    with pytest.raises(errors.SettingsError) as told:
        load(trusted_proxies=text)
    assert str(told.value).startswith("BUILDHOOK_TRUSTED_PROXIES: ")
    assert why in str(told.value)
    assert "\n" not in str(told.value)


def test_a_list_has_commas_or_blanks_between(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUILDHOOK_TRUSTED_PROXIES", " 10.0.0.0/8,127.0.0.1 ::1 , ::ffff:192.0.2.1 ")
    assert [str(one) for one in load().trusted_networks] == ["10.0.0.0/8", "127.0.0.1/32", "::1/128", "192.0.2.1/32"]
    assert load(trusted_proxies="").trusted_networks == ()


def test_a_proxy_that_nobody_named_is_told_of_for_an_hour() -> None:
    now = [factories.NOW]
    visitors = Visitors(lambda: OURS, now=lambda: now[0])
    assert visitors.look(request_from("10.0.0.5", X_Forwarded_For="203.0.113.9")).address == "203.0.113.9"
    assert visitors.why_unlisted() is None
    assert visitors.look(request_from("192.0.2.7", X_Forwarded_For="203.0.113.9")).address == "192.0.2.7"
    assert "192.0.2.7, which BUILDHOOK_TRUSTED_PROXIES does not name" in (visitors.why_unlisted() or "")
    now[0] = now[0].replace(year=now[0].year + 1)
    assert visitors.why_unlisted() is None


def test_t16_shares_go_by_the_client_and_what_may_be_a_proxy_has_more() -> None:
    shares = Shares(burst=2, per_minute=0)

    def take(peer: str, *, of: tuple[proxies.Network, ...] = OURS, **headers: Any) -> bool:
        return shares.take(look(peer, Headers(**headers), trusted=of))

    assert [take("10.0.0.5", x_for=(f"{n}.1.1.1, 203.0.113.9",)) for n in range(3)] == [True, True, False]
    assert take("10.0.0.5", x_for=("203.0.113.10",))
    # One network of IPv6 is one customer's.
    assert [take(f"2001:db8::{n}") for n in range(3)] == [True, True, False]
    # Whoever pretends to be a proxy is one who asks, whatever it writes; what may be one stands for many.
    assert sum(take("198.51.100.1", x_for=(f"10.9.8.{n}",)) for n in range(100)) == 40
    assert sum(take("198.51.100.2", of=()) for _ in range(100)) == 40

"""Which addresses a name may lead to: a table, as the special registries have them."""

from __future__ import annotations

import ipaddress

import hypothesis
import pytest
from hypothesis import strategies

from bot import addresses
from bot.addresses import Rule

PUBLIC = ("93.184.216.34", "8.8.8.8", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8")
LOOPBACK = ("127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1")
PRIVATE = (
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "fc00::1",
    "fd12:3456:789a::1",
    "::ffff:10.0.0.1",
    "64:ff9b::10.0.0.1",
    "fec0::1",
    "192.0.2.1",
    "198.18.0.1",
    "2001:db8::1",
)
#: Whatever the policy says.
NEVER = (
    "169.254.169.254",
    "169.254.170.2",
    "169.254.1.1",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "fd00:ec2::254",
    "fd20:ce::254",
    "::ffff:169.254.169.254",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::169.254.169.254",
    "::ffff:0:169.254.169.254",
    "2002:a9fe:a9fe::1",
    "fe80::1",
    "fe80::1%eth0",
    "0.0.0.0",
    "::",
    "224.0.0.1",
    "239.255.255.250",
    "ff02::1",
    "255.255.255.255",
    "240.0.0.1",
    "4000::1",
    "",
    "localhost",
    "2130706433",
    "0x7f000001",
    "127.1",
    "[::1]",
    "1.2.3.4:80",
)


@pytest.mark.parametrize("address", PUBLIC)
@pytest.mark.parametrize("allow_private", [False, True])
def test_t109_everybodys_addresses_are_allowed(address: str, allow_private: bool) -> None:
    assert addresses.why_refused(address, Rule(allow_private=allow_private)) is None


@pytest.mark.parametrize("address", [*LOOPBACK, *PRIVATE])
def test_t109_what_only_this_network_reaches_takes_a_word_of_the_policy(address: str) -> None:
    assert addresses.why_refused(address, Rule()) is not None


@pytest.mark.parametrize("address", [*LOOPBACK, *PRIVATE])
def test_a_word_of_the_policy_allows_this_network(address: str) -> None:
    assert addresses.why_refused(address, Rule(allow_private=True, allow_loopback=True)) is None


@pytest.mark.parametrize("address", LOOPBACK)
def test_t55_a_word_for_the_network_is_none_for_this_machine(address: str) -> None:
    assert addresses.why_refused(address, Rule(allow_private=True)) == "it is this machine's own"


@pytest.mark.parametrize("address", NEVER)
@pytest.mark.parametrize("rule", [Rule(), Rule(allow_private=True, allow_loopback=True), Rule(only_loopback=True)])
def test_t109_metadata_one_link_and_many_receivers_are_never_allowed(address: str, rule: Rule) -> None:
    assert addresses.why_refused(address, rule) is not None


@pytest.mark.parametrize("address", [*PUBLIC, *PRIVATE])
def test_plain_http_goes_to_loopback_only(address: str) -> None:
    rule = Rule(only_loopback=True, allow_private=True)
    assert addresses.why_refused(address, rule) == "http goes to this machine's own addresses only"


@pytest.mark.parametrize("address", LOOPBACK)
def test_plain_http_may_go_to_loopback(address: str) -> None:
    assert addresses.why_refused(address, Rule(only_loopback=True)) is None


@pytest.mark.parametrize(
    "address",
    ["2002:7f00:1::1", "2002:a00:1::1", "2001:0:7f00:1::1", "::7f00:1", "::10.0.0.1"],
)
def test_t109_an_address_within_an_address_counts(address: str) -> None:
    assert addresses.why_refused(address, Rule()) is not None


@hypothesis.given(strategies.ip_addresses())
def test_t109_whatever_the_registries_call_not_global_is_refused(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    if not address.is_global or address.is_multicast:
        is_translated = isinstance(address, ipaddress.IPv6Address) and address in ipaddress.ip_network("64:ff9b::/96")
        assert addresses.why_refused(str(address), Rule()) is not None or is_translated

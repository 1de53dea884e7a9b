"""Which addresses a name may lead to: pure. What only this machine or network reaches is not for a name to choose.

https://www.iana.org/assignments/iana-ipv4-special-registry and https://www.iana.org/assignments/iana-ipv6-special-registry
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

#: Where clouds tell a machine its own credentials. Some of them look like anybody's address.
_METADATA = frozenset(
    ipaddress.ip_address(one)
    for one in (
        "169.254.169.254",
        "169.254.170.2",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd20:ce::254",
    )
)
#: Their last four bytes are an IPv4 address. https://www.rfc-editor.org/rfc/rfc6052#section-2.1 and, for a network's
#: own translation, https://www.rfc-editor.org/rfc/rfc8215
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_OWN_NAT64 = ipaddress.ip_network("64:ff9b:1::/48")
_COMPATIBLE = ipaddress.ip_network("::/96")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What the policy lets the addresses of one name be."""

    #: Private and unique-local addresses as well.
    allow_private: bool = False
    #: This machine's loopback as well.
    allow_loopback: bool = False
    #: Nothing but loopback: what is sent there is not encrypted.
    only_loopback: bool = False


def why_refused(address: str, rule: Rule) -> str | None:
    """Why an address is not to be connected to, or None. Addresses within addresses are judged too."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "it is no address"
    for one in (parsed, *_within(parsed)):
        why = _why_refused(one, rule)
        if why is not None:
            return why
    return None


def _why_refused(one: _Address, rule: Rule) -> str | None:
    if one in _METADATA:
        return "it is where a cloud keeps its machines' credentials"
    if isinstance(one, ipaddress.IPv6Address) and one.ipv4_mapped is not None:
        # Only what is within counts.
        return None
    if one.is_loopback:
        return None if rule.only_loopback or rule.allow_loopback else "it is this machine's own"
    if rule.only_loopback:
        return "http goes to this machine's own addresses only"
    if one.is_unspecified or one.is_multicast or one == ipaddress.IPv4Address("255.255.255.255"):
        return "it is no single receiver's"
    if one.is_link_local:
        return "it is of one link only"
    if one in _NAT64:
        return None
    if one.is_reserved:
        return "it is reserved"
    if not one.is_global or (isinstance(one, ipaddress.IPv6Address) and one.is_site_local):
        return None if rule.allow_private else "it is private"
    return None


def _within(one: _Address) -> list[_Address]:
    """The IPv4 addresses that an IPv6 address leads to by a translation or a tunnel."""
    if not isinstance(one, ipaddress.IPv6Address):
        return []
    found: list[_Address] = [inner for inner in (one.ipv4_mapped, one.sixtofour) if inner is not None]
    if one.teredo is not None:
        found += one.teredo
    if one in _NAT64 or one in _OWN_NAT64 or (one in _COMPATIBLE and int(one) > 1):
        found.append(ipaddress.IPv4Address(int(one) & 0xFFFF_FFFF))
    return found

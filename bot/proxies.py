"""Which proxies are believed, and what follows of a request that came through them: pure.

A proxy adds what it saw behind what it was given, and whoever asks can give it anything. So hops are read from the
right, each believed only because the one behind it is, and the first that is no proxy of ours is the client.

https://www.rfc-editor.org/rfc/rfc7239
https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/X-Forwarded-For#selecting_an_ip_address
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

import msgspec

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_SCHEMES = frozenset({"http", "https"})
#: A name or an address, and maybe a port: no user, no path.
_HOST = re.compile(r"(?:[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?", re.ASCII)
#: `1.2.3.4`, `1.2.3.4:80`, `[2001:db8::1]`, `[2001:db8::1]:80`, and as many write it `2001:db8::1`.
_NODE = re.compile(r"\[(?P<six>[0-9A-Fa-f:.]+)\](?::\S+)?|(?P<four>[0-9.]+)(?::[0-9]+)?|(?P<bare>[0-9A-Fa-f:.]+)")
#: One pair of `Forwarded`. A quoted value has nothing in it that separates pairs: somebody's open quote could else take
#: in what the proxy wrote behind it.
_PAIR = re.compile(r'\s*([A-Za-z]+)=(?:"([A-Za-z0-9._:\[\]-]*)"|([A-Za-z0-9._-]+))\s*', re.ASCII)


class Headers(msgspec.Struct, frozen=True, kw_only=True):
    """What a request says of its way: the values of these headers, each line one, in order."""

    forwarded: Sequence[str] = ()
    x_for: Sequence[str] = ()
    x_proto: Sequence[str] = ()
    x_host: Sequence[str] = ()

    @property
    def is_forwarded(self) -> bool:
        """Whether a proxy had the request, or somebody says so."""
        return bool(self.forwarded or self.x_for or self.x_proto or self.x_host)


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """Where a request came from, as far as anybody is believed."""

    #: The client's address; empty where the connection has none.
    address: str
    #: What the client asked for, where a proxy that is believed says so.
    scheme: str | None = None
    host: str | None = None
    #: Whether it is said to come through somebody who is not believed: then `address` may be a proxy's.
    is_unlisted: bool = False
    #: Whether `address` is surely no proxy's: the proxies are known, and it is none of them.
    is_client: bool = False


def parse(text: str) -> tuple[Network, ...]:
    """The addresses and networks of a list with commas or blanks between.

    :raises ValueError: with what to write instead.
    """
    return tuple(dict.fromkeys(_network(one) for one in re.split(r"[\s,]+", text) if one))


def _network(text: str) -> Network:
    try:
        # A zone is the name of an interface, and no part of what a connection tells.
        found = ipaddress.ip_network(text if "%" not in text else "", strict=False)
    except ValueError:
        raise ValueError(
            f"{text[:50]!r} is no address and no network: write such as 10.0.0.5, 10.0.0.0/8 or fd00::/8"
        ) from None
    if found.prefixlen == 0:
        raise ValueError(f"{text} is everybody: anyone could then say who they are; name the proxies alone")
    if ipaddress.ip_address(text.partition("/")[0]) != found.network_address:
        raise ValueError(f"{text} has bits set behind its length: write {found}")
    mapped = found.network_address.ipv4_mapped if isinstance(found, ipaddress.IPv6Network) else None
    if mapped is not None and found.prefixlen >= 96:
        return ipaddress.IPv4Network((mapped, found.prefixlen - 96))
    return found


def look(peer: str, headers: Headers, *, trusted: Sequence[Network]) -> Seen:
    """Where a request came from.

    :param peer: the address of the connection's other end.
    :param trusted: the proxies that are believed; a header of anybody else changes nothing.
    """
    last = _address(peer)
    if last is None or not _is_in(last, trusted):
        is_client = bool(trusted) and last is not None and not headers.is_forwarded
        return Seen(address=_shown(last, peer), is_unlisted=headers.is_forwarded, is_client=is_client)
    pairs = _pairs(headers.forwarded)
    ways = [[_node(one) for one in _listed(headers.x_for)], [_node(one.get("for", "")) for one in pairs]]
    clients = {_client(last, way, trusted) for way in ways if way}
    # A proxy writes one of the two and passes the other one on, as whoever asked gave it: where they differ, nobody
    # knows which.
    (address,) = clients if len(clients) == 1 else {last}
    written = pairs[-1] if pairs else {}
    schemes = {_last(headers.x_proto).lower(), written.get("proto", "").lower()} & _SCHEMES
    hosts = {one.lower() for one in (_last(headers.x_host), written.get("host", "")) if _HOST.fullmatch(one)}
    return Seen(
        address=str(address),
        scheme=schemes.pop() if len(schemes) == 1 else None,
        host=hosts.pop() if len(hosts) == 1 else None,
        is_client=not _is_in(address, trusted),
    )


def _client(peer: _Address, way: Sequence[_Address | None], trusted: Sequence[Network]) -> _Address:
    """The rightmost hop that is no proxy of ours; where a proxy names nobody, that proxy itself."""
    hop = peer
    for before in reversed(way):
        if before is None or not _is_in(hop, trusted):
            break
        hop = before
    return hop


def _is_in(one: _Address, networks: Sequence[Network]) -> bool:
    return any(one.version == network.version and one in network for network in networks)


def _address(text: str) -> _Address | None:
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def _shown(one: _Address | None, peer: str) -> str:
    return str(one) if one is not None else peer


def _node(text: str) -> _Address | None:
    found = _NODE.fullmatch(text)
    return _address(found["six"] or found["four"] or found["bare"]) if found else None


def _listed(lines: Sequence[str]) -> list[str]:
    return [one.strip() for line in lines for one in line.split(",")]


def _last(lines: Sequence[str]) -> str:
    """What was written last: by the proxy that is believed, where several stand behind each other."""
    return _listed(lines)[-1] if lines else ""


def _pairs(lines: Sequence[str]) -> list[dict[str, str]]:
    """The elements of `Forwarded`; none of them where any cannot be read, for what hides in it nobody knows."""
    found = []
    for element in (one for line in lines for one in line.split(",")):
        pairs = [_PAIR.fullmatch(pair) for pair in element.split(";")]
        made = {pair[1].lower(): pair[2] if pair[2] is not None else pair[3] for pair in pairs if pair is not None}
        if len(made) < len(pairs):
            return []
        found.append(made)
    return found

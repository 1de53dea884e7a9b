"""The egress list: which hosts builds may connect to, by name and port. Pure, and without anything to install.

An entry is a host, `*.` and a domain for all that is below it, or an address; each with a port, 443 where it has none.
The service reads entries from the operator's policy, and the proxy of a job decides by them.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass

from bot import addresses

DEFAULT_PORT = 443
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
#: Programs take such a last label for a number, and the whole for an address: https://url.spec.whatwg.org/#host-parsing
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
_MAX_CHARACTERS = 253
_WILD = "*."


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of the list."""

    #: In lower case, without a dot at its end; an address in its shortest form. Of a wildcard the domain.
    host: str
    port: int
    #: Whether it stands for all hosts below `host`, and not for `host` itself.
    is_wild: bool = False

    def is_of(self, host: str) -> bool:
        """Whether the entry names a host, as `normal` writes it."""
        return host.endswith(f".{self.host}") if self.is_wild else host == self.host

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{_WILD if self.is_wild else ''}{host}:{self.port}"


def entry(text: str) -> Entry:
    """Read an entry.

    :raises ValueError: if it is none; the text says what to write instead.
    """
    host, port = split(text.removeprefix(_WILD), default_port=DEFAULT_PORT)
    is_wild = text.startswith(_WILD)
    host = normal(host)
    if is_wild and _is_address(host):
        raise ValueError("an address has no hosts below it: write a name behind `*.`")
    if _is_address(host):
        why = addresses.why_refused(host, addresses.Rule(allow_private=True))
        if why is not None:
            raise ValueError(f"no build reaches it, whatever is listed: {why}")
    return Entry(host=host, port=port, is_wild=is_wild)


def split(text: str, *, default_port: int | None = None) -> tuple[str, int]:
    """Host and port of `host:port`; an IPv6 address stands in brackets.

    :raises ValueError: if it has another form.
    """
    if text.startswith("["):
        host, closing, rest = text[1:].partition("]")
        if not closing or ":" not in host or (rest and not rest.startswith(":")):
            raise ValueError("write an IPv6 address in brackets, such as `[2001:db8::1]:443`")
        digits, has_port = rest[1:], bool(rest)
    else:
        host, colon, digits = text.partition(":")
        has_port = bool(colon)
        if ":" in digits:
            raise ValueError("write an IPv6 address in brackets, such as `[2001:db8::1]:443`")
    if not has_port and default_port is not None:
        return host, default_port
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 5 and 0 < int(digits) < 65536):
        raise ValueError("write a port from 1 to 65535 behind the colon")
    return host, int(digits)


def normal(host: str) -> str:
    """A host in the one form in which hosts are compared.

    :raises ValueError: if it is neither a name nor an address in its usual form.
    """
    host = host.lower().removesuffix(".") if host.isascii() else ""
    if ":" in host:
        try:
            return str(ipaddress.IPv6Address("" if "%" in host else host))
        except ValueError:
            raise ValueError("it is no IPv6 address") from None
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        try:
            return str(ipaddress.IPv4Address(host))
        except ValueError:
            raise ValueError("write an address as four decimal numbers, such as `192.0.2.5`") from None
    if len(host) > _MAX_CHARACTERS or not all(_LABEL.fullmatch(one) for one in labels):
        raise ValueError("a host has labels of letters, digits, `-` and `_` with dots between")
    return host


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a build may connect to a host."""

    #: What its addresses may be; None where it may not.
    rule: addresses.Rule | None
    #: Why not, as it goes on behind the host's name.
    why: str = ""


class Hosts:
    """All that is listed."""

    def __init__(self, allow: Iterable[str], *, allow_private: Iterable[str] = ()) -> None:
        """:param allow_private: those whose addresses may be of this network only.
        :raises ValueError: if one is no entry.
        """
        self._private = tuple(entry(one) for one in allow_private)
        self._all = (*self._private, *(entry(one) for one in allow))

    def judge(self, host: str, port: int) -> Verdict:
        """Whether a host, as `normal` writes it, may be connected to at a port."""
        of_host = [one for one in self._all if one.is_of(host)]
        if not of_host:
            return Verdict(rule=None, why="is not in the list of the operator's policy (`[network]`)")
        if all(one.port != port for one in of_host):
            ports = " and ".join(str(one) for one in sorted({one.port for one in of_host}))
            return Verdict(rule=None, why=f"is listed in the operator's policy (`[network]`) with port {ports} only")
        is_private = any(one.is_of(host) and one.port == port for one in self._private)
        return Verdict(rule=addresses.Rule(allow_private=is_private))


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True

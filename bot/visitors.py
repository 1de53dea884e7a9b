"""Visitors: from which address each request came, and how much one address may cause of what costs us something."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from aiohttp import web

from bot import allowance, clock, proxies, telemetry

#: So many addresses are remembered; those that were here last.
_MOST_KNOWN = 10_000
#: What may be a proxy stands for all who come through it.
_SHARED_FACTOR = 20
#: The part of an address that one customer of a network has to themselves.
_SIX_PREFIX = 64
#: How long a proxy that no setting names is told of after its last request.
_TELL_FOR = timedelta(hours=1)
_MOST_WARNED = 20
_log = telemetry.log("web")


class Visitors:
    """Says of each request where it came from.

    :param trusted: gives the proxies that are believed, as the settings are now.
    """

    def __init__(
        self,
        trusted: Callable[[], Sequence[proxies.Network]] = tuple,
        *,
        now: Callable[[], datetime] = clock.now,
    ) -> None:
        self._trusted = trusted
        self._now = now
        self._warned: set[str] = set()
        self._unlisted: tuple[str, datetime] | None = None

    def look(self, request: web.BaseRequest) -> proxies.Seen:
        """Where it came from."""
        peer = request.transport.get_extra_info("peername") if request.transport is not None else None
        address = str(peer[0]) if isinstance(peer, tuple) and peer else ""
        seen = proxies.look(address, _headers(request), trusted=self._trusted())
        if seen.is_unlisted:
            self._note(seen.address)
        return seen

    def why_unlisted(self) -> str | None:
        """The last proxy that no setting names, for the operator; None where there was none lately."""
        if self._unlisted is None or self._now() - self._unlisted[1] > _TELL_FOR:
            return None
        return f"forwarding headers come from {self._unlisted[0]}, which BUILDHOOK_TRUSTED_PROXIES does not name"

    def _note(self, address: str) -> None:
        self._unlisted = (address, self._now())
        if address in self._warned or len(self._warned) >= _MOST_WARNED:
            return
        self._warned.add(address)
        _log.info(
            "A forwarding header is not believed: BUILDHOOK_TRUSTED_PROXIES does not name who sent it.",
            action="unlisted_proxy",
            address=address,
        )


def _headers(request: web.BaseRequest) -> proxies.Headers:
    def of(name: str) -> Sequence[str]:
        return request.headers.getall(name, ())

    return proxies.Headers(
        forwarded=of("Forwarded"),
        x_for=of("X-Forwarded-For"),
        x_proto=of("X-Forwarded-Proto"),
        x_host=of("X-Forwarded-Host"),
    )


class Shares:
    """How much each address may do: a few at once, then so many in a minute; and the memory of it is bounded."""

    def __init__(self, *, burst: int, per_minute: float) -> None:
        self._burst = burst
        self._per_minute = per_minute
        self._known: OrderedDict[str, allowance.Allowance] = OrderedDict()

    def take(self, seen: proxies.Seen) -> bool:
        """Whether it may do it once more; then it is counted."""
        factor = 1 if seen.is_client else _SHARED_FACTOR
        key = f"{_whose(seen.address)} {factor}"
        its = self._known.pop(key, None)
        if its is None:
            its = allowance.Allowance(burst=self._burst * factor, per_minute=self._per_minute * factor)
        self._known[key] = its
        while len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)
        if its.left() < 1:
            return False
        its.spend(1)
        return True


def _whose(address: str) -> str:
    """What stands for one visitor."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((found, _SIX_PREFIX), strict=False))
    return address

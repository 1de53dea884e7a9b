"""Access: whoever may not see a page gets the answer of a route that is not there; changes need our own origin."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from multidict import CIMultiDictProxy

from bot.people.viewer import LOCAL
from bot.web import rules, viewing

#: What strangers may ask for, by method and route. Everything else is for those who have access.
PUBLIC: Mapping[str, frozenset[str]] = {
    "/webhook": frozenset({"POST"}),
    "/hooks/{source}": frozenset({"POST"}),
    "/livez": frozenset({"GET", "HEAD"}),
    "/readyz": frozenset({"GET", "HEAD"}),
    "/healthz": frozenset({"GET", "HEAD"}),
}
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
#: A request with one of these came through something that speaks for somebody else.
_FORWARDING = frozenset(
    {
        "forwarded",
        "via",
        "x-real-ip",
        "x-client-ip",
        "x-cluster-client-ip",
        "x-originating-ip",
        "x-remote-ip",
        "x-remote-addr",
        "x-envoy-external-address",
        "x-azure-clientip",
        "x-host",
        "x-http-host-override",
        "x-original-url",
        "x-original-host",
        "x-rewrite-url",
        "true-client-ip",
        "fastly-client-ip",
        "fly-client-ip",
        "client-ip",
        "cdn-loop",
    }
)
_FORWARDING_PREFIXES = ("x-forwarded", "x-original-forwarded", "x-proxyuser", "cf-", "tailscale-")


def is_public(request: web.Request) -> bool:
    """Whether anybody may ask this. A route that nobody named here is not public."""
    resource = request.match_info.route.resource
    return resource is not None and request.method in PUBLIC.get(resource.canonical, frozenset())


def is_local(request: web.Request) -> bool:
    """Whether the request comes from this machine, to this machine, and through nobody."""
    peer = request.transport.get_extra_info("peername") if request.transport is not None else None
    return (
        isinstance(peer, tuple)
        and is_loopback(str(peer[0]))
        and _names_loopback(request.headers)
        and not is_forwarded(request.headers)
    )


def is_loopback(address: str) -> bool:
    """Whether an address is one of the machine's own: `127.0.0.0/8` or `::1`."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return (mapped or parsed).is_loopback


def is_forwarded(headers: CIMultiDictProxy[str]) -> bool:
    """Whether a proxy or a tunnel had the request before us."""
    return any(
        name in _FORWARDING or name.startswith(_FORWARDING_PREFIXES) for name in (key.lower() for key in headers)
    )


def is_own_origin(request: web.Request) -> bool:
    """Whether a page of ours sent this; where nothing proves it, it did not.

    Our pages send no referrer, which makes browsers send `Origin: null` with a form: then `Sec-Fetch-Site`, which no
    page can forge, has to say so. https://fetch.spec.whatwg.org/#origin-header
    """
    return is_from(request, f"{request.scheme}://{request.host}")


def is_from(request: web.Request, own: str) -> bool:
    """Whether a page of this origin sent this; see `is_own_origin`."""
    origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
    if origin not in (None, "null") and (origin or "").lower() != own.lower():
        return False
    if site is not None:
        return site == "same-origin"
    return origin not in (None, "null")


def guard() -> Middleware:
    """The middleware for `ACCESS=local`."""

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        if is_public(request):
            return await handler(request)
        if not is_local(request):
            raise web.HTTPNotFound
        if request.method not in _READING and not (is_own_origin(request) or _is_program(request)):
            raise web.HTTPForbidden(text="Changes are taken from buildhook's own pages only.")
        if (
            request.headers.get("Sec-Fetch-Site") == "cross-site"
            and request.headers.get("Sec-Fetch-Mode") != "navigate"
        ):
            raise web.HTTPForbidden(text="Other sites may link here, but not read or embed this.")
        viewing.note(request, LOCAL)
        return await handler(request)

    return guarded


def _is_program(request: web.Request) -> bool:
    """Whether it is no browser that asks the API for a change: browsers say where a change comes from.

    https://fetch.spec.whatwg.org/#origin-header
    """
    return rules.is_api(request.path) and not any(name in request.headers for name in ("Origin", "Sec-Fetch-Site"))


def _names_loopback(headers: CIMultiDictProxy[str]) -> bool:
    # A name that an attacker points at this machine (DNS rebinding) is not one of these.
    given = headers.getall("Host", [])
    if len(given) != 1:
        return False
    host = given[0]
    if host.startswith("["):
        name, _, rest = host[1:].partition("]")
        is_port = rest == "" or (rest.startswith(":") and rest[1:].isascii() and rest[1:].isdigit())
        return is_port and ":" in name and "%" not in name and is_loopback(name)
    name, colon, port = host.partition(":")
    if colon and not (port.isascii() and port.isdigit()):
        return False
    return name.lower() == "localhost" or is_loopback(name)

"""Pure: which requests may change the world from a browser or from another process of this machine."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping


def is_loopback(host: str) -> bool:
    """Whether a host name or address, without port, is this machine's own."""
    if host in ("localhost", "localhost."):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def host_name(host: str) -> str:
    """A `Host` header without its port."""
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]


def is_same_origin(headers: Mapping[str, str], *, must_be_loopback: bool) -> bool:
    """Whether a form was sent by one of our own pages.

    A page of another site cannot forge `Origin`; a name that was made to point at this machine shows in `Host`.
    """
    host = headers.get("Host", "")
    if must_be_loopback and not is_loopback(host_name(host)):
        return False
    return headers.get("Origin") == f"http://{host}" and headers.get("Sec-Fetch-Site", "same-origin") == "same-origin"

"""The policy's section `[network]`: the hosts that builds may connect to where `NETWORK` is `list`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import idna
import msgspec

from bot import egress
from bot.policy_table import Problems, Table, shown

#: The longest list; each connection of a build is compared with all of it.
MAX_HOSTS = 1000


class Network(msgspec.Struct, frozen=True, kw_only=True):
    """What the section says; without one nothing is listed."""

    #: Hosts, as `egress.entry` reads them.
    allow: tuple[str, ...] = ()
    #: Hosts whose addresses may be of this network only.
    allow_private: tuple[str, ...] = ()
    #: Whether code that is not trusted may connect to them as well, once somebody lets it run.
    strangers: bool = False


def read(given: Mapping[str, Any], problems: Problems) -> Network:
    """The section, with every mistake noted."""
    table = Table(("network",), given, problems)
    found = {key: _hosts(table, key) for key in ("allow", "allow_private")}
    strangers = table.get("strangers", bool, False, wanted="true or false")
    table.end()
    return Network(**found, strangers=strangers)


def _hosts(table: Table, key: str) -> tuple[str, ...]:
    listed = table.texts(key, wanted='hosts such as `["pypi.org", "*.pythonhosted.org", "deb.debian.org:80"]`')
    if len(listed) > MAX_HOSTS:
        table.wrong(key, f"it has more than {MAX_HOSTS} hosts.")
        return ()
    found = []
    for one in listed:
        try:
            found.append(str(egress.entry(_ascii(one))))
        except ValueError as error:
            table.wrong(key, f"`{shown(one)}`: {_sentence(error)}.")
    return tuple(found)


def _ascii(text: str) -> str:
    """The entry with a name of any script as the network has it: https://www.rfc-editor.org/rfc/rfc5891"""
    if text == "*" or "://" in text or "/" in text:
        raise ValueError("write a host alone, such as `pypi.org` or `*.pythonhosted.org`")
    if text.isascii():
        return text
    wild = "*." if text.startswith("*.") else ""
    host, colon, port = text.removeprefix(wild).partition(":")
    return f"{wild}{idna.encode(host, uts46=True).decode('ascii')}{colon}{port}"


def _sentence(error: ValueError) -> str:
    return "it is no name of a host" if isinstance(error, idna.IDNAError) else str(error)

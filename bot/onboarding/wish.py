"""What somebody types when the App is registered or named: pure. A mistake is told beside its field, all at once."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import msgspec

#: GitHub's limit for the name of an App.
LONGEST_NAME = 34
_LONGEST = 2000
_LONGEST_KEY = 20_000
_LOGIN = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,98}[A-Za-z0-9_])?\Z")
_CLIENT_ID = re.compile(r"[A-Za-z0-9._-]{1,100}\Z")
_PATH = "/webhook"


class Wrong(Exception):
    """Something that was typed cannot be; what, by the names of the fields."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("; ".join(problems.values()))
        self.problems = problems


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """An App to be registered."""

    #: The organisation that will own it; None for the person's own account.
    organization: str | None
    name: str
    #: How people reach this service; None where only a relay leads to it.
    public_url: str | None
    #: Where GitHub sends its events.
    webhook_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Existing:
    """An App that is registered already."""

    app_id: int
    #: PEM.
    private_key: str = field(repr=False)
    webhook_secret: str = field(repr=False)
    client_id: str | None
    client_secret: str | None = field(repr=False)
    public_url: str | None


def read(form: Mapping[str, str], *, is_public: bool) -> Wish:
    """The form of a new App.

    :param is_public: whether GitHub is github.com, which reaches only what everybody reaches.
    :raises Wrong: if something cannot be.
    """
    given = {name: form.get(name, "").strip() for name in ("account", "organization", "name", "public_url", "webhook")}
    problems: dict[str, str] = {}
    organization = given["organization"] if given["account"] == "organization" else None
    if organization is not None and not _LOGIN.match(organization):
        problems["organization"] = "Write the organisation's name as it stands in its address on GitHub."
    if not 0 < len(given["name"]) <= LONGEST_NAME or not given["name"].isprintable():
        problems["name"] = f"Write a name of at most {LONGEST_NAME} characters; on GitHub nobody else may have it."
    if not given["public_url"] and not given["webhook"]:
        problems["public_url"] = "GitHub has to reach this service: write its public address, or a relay's below."
    public_url = _url(given, "public_url", problems, is_public=is_public)
    webhook_url = _url(given, "webhook", problems, is_public=is_public)
    if problems:
        raise Wrong(problems)
    return Wish(
        organization=organization,
        name=given["name"],
        public_url=public_url,
        webhook_url=webhook_url or f"{public_url}{_PATH}",
    )


def read_existing(form: Mapping[str, str]) -> Existing:
    """The form of an App that is there already.

    :raises Wrong: if something cannot be.
    """
    names = ("app_id", "private_key", "webhook_secret", "client_id", "client_secret", "public_url")
    given = {name: form.get(name, "").strip() for name in names}
    problems: dict[str, str] = {}
    number = given["app_id"]
    if not (number.isascii() and number.isdigit() and 0 < len(number) <= 18 and int(number) > 0):
        problems["app_id"] = "Write the number that stands as `App ID` on the App's settings page."
    if not given["private_key"].startswith("-----BEGIN") or len(given["private_key"]) > _LONGEST_KEY:
        problems["private_key"] = "Paste the whole .pem file, from -----BEGIN to -----END."
    for name in ("webhook_secret", "client_secret"):
        if not given[name].isprintable() or len(given[name]) > _LONGEST:
            problems[name] = "A secret is one line."
    if not given["webhook_secret"]:
        problems["webhook_secret"] = "Write the secret of the App's webhook: it alone proves a delivery."  # noqa: S105
    if bool(given["client_id"]) != bool(given["client_secret"]):
        problems["client_id"] = "People sign in by the client id and its secret together: write both, or none."
    elif given["client_id"] and not _CLIENT_ID.match(given["client_id"]):
        problems["client_id"] = "Copy the client id from the App's settings page."
    public_url = _url(given, "public_url", problems, is_public=False)
    if problems:
        raise Wrong(problems)
    return Existing(
        app_id=int(number),
        private_key=given["private_key"].replace("\r\n", "\n") + "\n",
        webhook_secret=given["webhook_secret"],
        client_id=given["client_id"] or None,
        client_secret=given["client_secret"] or None,
        public_url=public_url,
    )


def _url(given: Mapping[str, str], name: str, problems: dict[str, str], *, is_public: bool) -> str | None:
    text = given[name].rstrip("/")
    if not text:
        return None
    trouble = _trouble(text, is_public=is_public)
    if trouble is not None:
        problems[name] = trouble
    return text


def _trouble(url: str, *, is_public: bool) -> str | None:
    """Why an address cannot be one that GitHub sends to."""
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname or "", parts.port
    except ValueError:
        host = ""
    if not host or not url.isascii() or not url.isprintable() or " " in url or len(url) > _LONGEST:
        return "Write an address like https://builds.example.org."
    if parts.username is not None or parts.query or parts.fragment:
        return "Leave a user name, and what follows `?` or `#`, out of it."
    if parts.scheme not in ("http", "https"):
        return "Write an address like https://builds.example.org."
    if is_public and parts.scheme != "https":
        return "Write https://: what GitHub sends would cross the network for everybody to read."
    if is_public and not _is_global(host):
        return "GitHub cannot reach this: it is an address of your own network. Write the public one, or use a relay."
    return None


def _is_global(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost") or "." not in host.strip("."):
        return ":" in host and ipaddress.ip_address(host).is_global
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return True

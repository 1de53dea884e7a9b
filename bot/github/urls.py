"""Where GitHub is: pure. The origins that a credential may go to, and paths whose parts cannot break out."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from urllib.parse import SplitResult, quote, urlencode, urlsplit

import msgspec

from bot import errors

_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}\Z")
_SHA = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")
_ENTERPRISE_API = "/api/v3"


class Urls(msgspec.Struct, frozen=True, kw_only=True):
    """GitHub's addresses, without a slash at the end. No other address ever gets a credential of ours."""

    #: REST: paths begin below it, e.g. `https://api.github.com` or `https://ghe.example/api/v3`.
    api: str
    #: Web pages and git over HTTP, e.g. `https://github.com`.
    web: str
    graphql: str

    def git_url(self, full_name: str) -> str:
        """The repository's URL for git, without credentials.

        :raises errors.ShapeUnknown: if it is not a repository's name.
        """
        return f"{self.web}/{checked_full_name(full_name)}.git"


def derive(api_url: str, *, github_url: str | None = None) -> Urls:
    """All addresses from the API's.

    https://docs.github.com/en/enterprise-server@latest/rest/using-the-rest-api/getting-started-with-the-rest-api

    :raises errors.SettingsError: if one is not a URL, carries credentials, or is plain http to another machine.
    """
    api = _checked_url(api_url, name="BUILDHOOK_GITHUB_API_URL")
    if api.hostname in {"github.com", "www.github.com"}:
        raise errors.SettingsError("BUILDHOOK_GITHUB_API_URL: GitHub's API is at https://api.github.com.")
    path = api.path.rstrip("/")
    origin = f"{api.scheme}://{api.netloc}"
    web = "https://github.com" if api.hostname == "api.github.com" else origin
    if github_url is not None:
        given = _checked_url(github_url, name="BUILDHOOK_GITHUB_URL")
        web = f"{given.scheme}://{given.netloc}{given.path.rstrip('/')}"
    graphql = f"{origin}/api/graphql" if path.endswith(_ENTERPRISE_API) else f"{origin}{path}/graphql"
    return Urls(api=origin + path, web=web, graphql=graphql)


def _checked_url(url: str, *, name: str) -> SplitResult:
    try:
        parts = urlsplit(url.strip())
        host = parts.hostname
        has_port = parts.port is not None or not parts.netloc.endswith(":")
    except ValueError:
        raise errors.SettingsError(f"{name}: this is not a URL. Write one like https://api.github.com.") from None
    if parts.scheme not in {"http", "https"} or not host or not has_port or not parts.netloc.isascii():
        raise errors.SettingsError(f"{name}: write a URL like https://api.github.com or http://127.0.0.1:8080.")
    # The text itself is not repeated in these errors: it may hold a password.
    if parts.username is not None or parts.password is not None:
        raise errors.SettingsError(f"{name}: leave the user name and password out of the URL.")
    if parts.query or parts.fragment:
        raise errors.SettingsError(f"{name}: leave what follows `?` or `#` out of the URL.")
    if parts.scheme == "http" and not is_loopback(host):
        raise errors.SettingsError(
            f"{name}: credentials would cross the network to {host} in plain text. Write https://, "
            "or use http:// for an address of this machine only (127.0.0.1, localhost)."
        )
    return parts


def is_loopback(host: str) -> bool:
    """Whether the host is this machine by its very name, without asking DNS."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def checked_full_name(full_name: str) -> str:
    """The name as given, once it is proved to be `owner/name`.

    :raises errors.ShapeUnknown: if it is anything else.
    """
    parts = full_name.split("/")
    if len(parts) != 2 or not all(_NAME.match(part) and part not in {".", ".."} for part in parts):
        raise errors.ShapeUnknown(f"{full_name[:210]!a} is not a repository's name: it has to read owner/name.")
    return full_name


def is_sha(ref: str) -> bool:
    """Whether the ref is a full commit id: what it names never changes."""
    return _SHA.match(ref) is not None


def path(*parts: str | int, query: Mapping[str, str | int] | None = None) -> str:
    """A path below the API's URL: each part quoted whole, so that none of them can become two or climb.

    :raises errors.ShapeUnknown: if a part is empty, `.` or `..`.
    """
    quoted = []
    for part in map(str, parts):
        if part in {"", ".", ".."}:
            raise errors.ShapeUnknown(f"{part!r} cannot be part of an address.")
        quoted.append(quote(part, safe="", errors="replace"))
    behind = "?" + urlencode(query, quote_via=quote, safe="", errors="replace") if query else ""
    return "/" + "/".join(quoted) + behind

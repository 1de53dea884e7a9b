"""What addresses in the settings may look like, and what is said of a value that is wrong: pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit


def url(value: str) -> str:
    """A URL of HTTP without a slash at its end.

    :raises ValueError: with what to write instead.
    """
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("write a URL like https://host or http://127.0.0.1:8080")
    return value.rstrip("/")


def storage(value: str) -> str:
    """The address of an object store, without a slash at its end.

    :raises ValueError: with what to write instead.
    """
    parts = urlsplit(value)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("no secret and no option belongs into it: the provider's own variables take them")
    is_folder = parts.scheme == "file" and not parts.netloc and parts.path not in ("", "/")
    if not is_folder and not (parts.scheme in {"s3", "gs", "az"} and parts.hostname):
        raise ValueError("write s3://bucket/prefix, gs://bucket/prefix, az://container/prefix or file:///path")
    return value.rstrip("/")


def line(problem: Mapping[str, Any], *, prefix: str) -> str:
    """What is told of a setting that is wrong.

    :param problem: as Pydantic describes it.
    """
    where = ".".join(str(part) for part in problem["loc"]).upper()
    text = str(problem["msg"]).removeprefix("Value error, ")
    # The wrong value itself is left out: it may be a secret in the wrong place.
    return f"{prefix}{where}: {text}" if where else f"{prefix.rstrip('_')}: {text}"

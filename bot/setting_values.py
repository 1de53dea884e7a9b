"""What addresses and sizes in the settings and the policy may look like: pure."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_SIZE = re.compile(r"\s*([0-9]*\.?[0-9]+)\s*([a-z]*)\s*", re.ASCII)
_POWERS = {letter: power for power, letter in enumerate("kmgtpe", start=1)}


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


def size(text: str) -> int | None:
    """How many bytes a text such as `4GiB`, `500 MB` or `1024` means; None where it means none."""
    found = _SIZE.fullmatch(text.lower())
    if found is None:
        return None
    unit = found[2].removesuffix("b")
    power = _POWERS.get(unit.removesuffix("i"), None if unit else 0)
    return None if power is None else int(float(found[1]) * (1024 if unit.endswith("i") else 1000) ** power)

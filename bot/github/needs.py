"""What the App has to be given on GitHub, each with its reason: the same as in `app.yml`, which people read."""

from __future__ import annotations

from collections.abc import Mapping

#: Permission to its level.
PERMISSIONS: Mapping[str, str] = {
    "checks": "write",
    "statuses": "write",
    "pull_requests": "write",
    "contents": "read",
    "metadata": "read",
    "merge_queues": "read",
}
#: What it subscribes to; `installation`, `installation_repositories` and `ping` are always sent.
EVENTS = frozenset(
    {
        "check_run",
        "check_suite",
        "create",
        "delete",
        "issue_comment",
        "merge_group",
        "public",
        "pull_request",
        "push",
        "repository",
    }
)
_LEVELS = ("none", "read", "write", "admin")


def lacking(given: Mapping[str, str]) -> tuple[str, ...]:
    """The permissions that are missing or too small, as `name: level`."""
    return tuple(
        f"{name}: {level}" for name, level in PERMISSIONS.items() if _rank(given.get(name, "none")) < _rank(level)
    )


def _rank(level: str) -> int:
    return _LEVELS.index(level) if level in _LEVELS else 0

"""What the App has to be given on GitHub, each with its reason. `app.yml`, which people read, is made of it.

A permission that is added later needs the consent of every installation, so this is the whole design's list.
https://docs.github.com/en/apps/creating-github-apps/registering-a-github-app/choosing-permissions-for-a-github-app
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

#: What the App is called where nobody says otherwise.
NAME = "buildhook"
DESCRIPTION = "Builds on your own machines, shown as checks."


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """A permission or an event."""

    name: str
    why: str
    #: Of a permission: `read` or `write`.
    level: str = ""


ASKED = (
    Need(name="checks", level="write", why="a check run for each job, with annotations and a re-run button"),
    Need(name="statuses", level="write", why="a commit status where an installation has not accepted checks"),
    Need(
        name="pull_requests",
        level="write",
        why="read heads, bases and changed files; answer commands and, where asked to, show builds, in one comment",
    ),
    Need(name="contents", level="read", why="the pipeline file, and the commits that are built"),
    Need(
        name="metadata",
        level="read",
        why="GitHub requires it; collaborators' permission decides who may start what",
    ),
    Need(name="merge_queues", level="read", why="hear of merge groups, so that a merge queue gets its checks"),
)
#: `installation`, `installation_repositories` and `ping` are always sent.
HEARD = (
    Need(name="check_run", why='"Re-run" on one check, and its buttons'),
    Need(name="check_suite", why='"Re-run all checks"'),
    Need(
        name="create",
        why="a tag whose push never came; of more than three at once GitHub tells nothing, they are looked for",
    ),
    Need(name="delete", why="a branch or tag is gone"),
    Need(name="issue_comment", why="commands in a pull request's comments"),
    Need(name="merge_group", why="a merge queue wants checks, or has destroyed a group"),
    Need(name="public", why="a private repository was made public"),
    Need(name="pull_request", why="opened, pushed to, retargeted, closed"),
    Need(name="push", why="a branch or tag moved"),
    Need(name="repository", why="renamed, transferred, made private, deleted"),
)
#: Permission to its level.
PERMISSIONS: Mapping[str, str] = {one.name: one.level for one in ASKED}
#: What it subscribes to.
EVENTS = frozenset(one.name for one in HEARD)
_LEVELS = ("none", "read", "write", "admin")


def lacking(given: Mapping[str, str]) -> tuple[str, ...]:
    """The permissions that are missing or too small, as `name: level`."""
    return tuple(
        f"{name}: {level}" for name, level in PERMISSIONS.items() if _rank(given.get(name, "none")) < _rank(level)
    )


def unheard(subscribed: Collection[str]) -> tuple[str, ...]:
    """The events that are not subscribed to."""
    return tuple(one.name for one in HEARD if one.name not in subscribed)


def _rank(level: str) -> int:
    return _LEVELS.index(level) if level in _LEVELS else 0

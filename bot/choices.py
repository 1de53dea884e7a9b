"""The words that settings with a choice may have."""

from __future__ import annotations

import enum


class Access(enum.StrEnum):
    """Who may see the pages."""

    #: This machine only: everybody else gets 404.
    LOCAL = "local"
    #: Whoever signs in with GitHub, each what GitHub lets them see and do.
    GITHUB = "github"


class Sandbox(enum.StrEnum):
    """What keeps a build's commands in."""

    #: Bubblewrap; where it cannot run the job errors and says how to mend it. Never becomes `none` by itself.
    AUTO = "auto"
    BUBBLEWRAP = "bubblewrap"
    #: A container of Podman; never chosen by itself.
    PODMAN = "podman"
    #: A plain process: for trusted code only.
    NONE = "none"


class Network(enum.StrEnum):
    """What a trusted build may reach; untrusted code has no network unless the policy lets it have the list."""

    NONE = "none"
    #: The hosts that the operator's policy lists, by a proxy, and nothing else.
    LIST = "list"
    #: The outside, never this host's own services or the cloud's metadata address.
    FULL = "full"


class Submodules(enum.StrEnum):
    """Which submodules of a repository are checked out."""

    NONE = "none"
    #: Those that the repository itself names.
    TOP = "top"
    #: Those of submodules as well.
    RECURSIVE = "recursive"


class LogLevel(enum.StrEnum):
    """The least important log lines that are written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

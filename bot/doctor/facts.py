"""What is asked before anything is judged: plain values, and for each one that could not be asked the reason."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Generic, TypeVar

import msgspec

from bot import errors
from bot.engines.local.checkup import Checkup
from bot.github.deliveries import Attempt
from bot.github.protection import Required
from bot.github.registration import App, Hook
from bot.model.build import Installation
from bot.store.looking import Looked

T = TypeVar("T")


class Unknown(Exception):
    """Something that a check needs could not be asked; the text says why."""

    def __init__(self, why: str, *, is_broken: bool) -> None:
        super().__init__(why)
        #: Whether asking went wrong in a way that nobody thought of.
        self.is_broken = is_broken


class Unasked(Exception):
    """It need not, or cannot, be asked here; the text says why."""


class Fact(msgspec.Struct, Generic[T], frozen=True):
    """A value, or why there is none."""

    value: T | None = None
    #: None where the value is there, which may itself be None.
    why: str | None = None
    #: Whether asking went wrong in a way that nobody thought of.
    is_broken: bool = False

    @property
    def known(self) -> T:
        """The value.

        :raises Unknown: if it could not be asked.
        """
        if self.why is not None:
            raise Unknown(self.why, is_broken=self.is_broken)
        return self.value  # type: ignore[return-value]


class SecretFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file with a secret in it."""

    #: The setting that names it, or what it is.
    name: str
    path: str
    #: Its rights, as of `chmod`.
    mode: int


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """What the settings say, as far as checks judge it; no secret is in it."""

    has_credentials: bool
    public_url: str | None
    sandbox: str
    max_jobs: int
    #: None where it is worked out from the machine.
    job_memory_bytes: int | None
    #: The ids of the keys that open secrets.
    key_ids: frozenset[str] = frozenset()
    #: Why the keys cannot be read.
    key_problem: str | None = None


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """This machine, as seen by this process."""

    python: tuple[int, int]
    processors: int
    memory_bytes: int


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where the data lies."""

    path: str
    #: False where the service would make it.
    is_there: bool
    #: Of it, or of the nearest folder above that is there.
    is_writable: bool
    mode: int
    #: Kind of the filesystem, such as `ext4`.
    filesystem: str
    free_bytes: int


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What an address answered."""

    url: str
    #: None where no answer came.
    status: int | None
    #: Whether it is an answer of our door.
    is_ours: bool = False
    #: Why no answer came.
    problem: str = ""


class Guarded(msgspec.Struct, frozen=True, kw_only=True):
    """A repository, and what its default branch asks for."""

    full_name: str
    branch: str
    required: tuple[Required, ...]


class OnGitHub(msgspec.Struct, frozen=True, kw_only=True):
    """What GitHub says of the App."""

    #: Why it did not say who we are.
    trouble: Fact[errors.BuildhookError | None]
    ahead_seconds: Fact[float]
    app: Fact[App]
    installations: Fact[tuple[Installation, ...]]
    hook: Fact[Hook]
    #: Newest first.
    deliveries: Fact[tuple[Attempt, ...]]
    guarded: Fact[tuple[Guarded, ...]]
    #: Repositories, or accounts, of which GitHub did not say what they ask for, each with the reason.
    unasked: Mapping[str, str] = msgspec.field(default_factory=dict)
    #: Whether there are more than are asked.
    is_cut: bool = False


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was asked."""

    now: datetime
    #: One line for each setting that is wrong.
    setting_problems: tuple[str, ...]
    #: Names that are no settings, each with what it may have been meant to be.
    unknown_names: Mapping[str, str]
    secret_files: tuple[SecretFile, ...]
    given: Fact[Given]
    #: Why the policy file, the handlers and the object store cannot be used; None where they can.
    policy_problem: Fact[str | None]
    handlers_problem: Fact[str | None]
    storage_problem: Fact[str | None]
    machine: Fact[Machine]
    place: Fact[Place]
    #: Of the database, where it is a file.
    database_place: Fact[Place | None]
    engine: Fact[Checkup]
    #: Why the database cannot be used.
    database_problem: Fact[str | None]
    database: Fact[Looked]
    service: Fact[Reply]
    door: Fact[Reply]
    #: What the running service says of a proxy that no setting names; None where it has met none.
    unlisted_proxy: Fact[str | None]
    github: OnGitHub

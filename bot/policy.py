"""The operator's policy: whose code runs, where, and what it reaches; whose webhooks start builds, who hears of them.

Pure: text in, policy out. A section of the file is one field of `Policy` and one reader in `_SECTIONS`.

https://toml.io/en/v1.0.0
"""

from __future__ import annotations

import dataclasses
import enum
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace

from bot import images, policy_network, setting_values, signing, trust
from bot.model import storage
from bot.policy_table import Problem, Problems, Table, either, lines, meant, shown

T = TypeVar("T")

#: How many webhooks of a source are taken in a minute where its section does not say.
PER_MINUTE = 60
#: What a subscriber can hear of.
NOTICES = ("build.started", "build.finished", "check.waiting")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", re.ASCII)
_REPOSITORY = re.compile(r"[A-Za-z0-9._-]{1,100}/[A-Za-z0-9._-]{1,100}", re.ASCII)
#: https://git-scm.com/docs/git-check-ref-format; braces and dollars are no part of it, but whoever writes one expects
#: something to be put in their place.
_REF = re.compile(r"refs/(?:heads|tags)/(?!/)[^\x00-\x20\x7f~^:?*\[\\{}$]{1,1000}")
_REF_WRONG = re.compile(r"\.\.|//|/\.|\.lock(?:/|$)|[./]$")
_LABEL = re.compile(r"[^\s,]{1,100}")
_TYPE = re.compile(r"[A-Za-z0-9_.-]{1,255}", re.ASCII)
_LEAST_BYTES, _MOST_BYTES = 16 << 20, 1000 << 40
_TOML_LINE = re.compile(r" \(at line (\d+), column \d+\)")


class Where(enum.StrEnum):
    """Where a secret is kept."""

    FILE = "secret_file"
    ENVIRONMENT = "secret_env"


class SecretFrom(msgspec.Struct, frozen=True, kw_only=True):
    """Where one secret is to be read; the file never holds a secret itself."""

    where: Where
    #: A path, relative to the file's folder, or the name of an environment variable.
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """`[sources.NAME]`: whose signed webhooks at `/hooks/NAME` start a build."""

    name: str
    #: `owner/name`.
    repository: str
    #: Fully qualified: the branch or tag whose head is built.
    ref: str
    #: The current one first; several while they are changed.
    secrets: tuple[SecretFrom, ...]
    #: The values of `type` that start a build; empty for any.
    events: frozenset[str] = frozenset()
    #: So many are taken in a minute, by each replica.
    per_minute: int = PER_MINUTE
    #: What the secrets hold, see `with_keys`.
    keys: tuple[bytes, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscriber:
    """`[subscribers.NAME]`: who is sent signed webhooks about builds."""

    name: str
    url: str
    #: Each signs, so that the receiver can change them.
    secrets: tuple[SecretFrom, ...]
    #: Of `NOTICES`.
    events: frozenset[str] = frozenset(NOTICES)
    #: Whether the address may be one that only this network reaches.
    allow_private: bool = False
    #: Whether the URL may be plain http, to this machine's loopback only.
    allow_http: bool = False
    #: What the secrets hold, see `with_keys`.
    keys: tuple[bytes, ...] = field(default=(), repr=False)


class Engine(msgspec.Struct, frozen=True, kw_only=True):
    """`[engines.NAME]`: an engine that jobs can come to besides the one of the settings, or more about that one."""

    name: str
    #: Those of `runs-on` that it takes, lower-case.
    labels: frozenset[str] = frozenset()


class Quotas(msgspec.Struct, frozen=True, kw_only=True):
    """`[quotas]`: how much of the machines each repository may take, None for all that there is; and of the disk."""

    #: Jobs at once, over all replicas.
    jobs: int | None = None
    #: Hours of jobs within 24 hours, those side by side counted each.
    hours_per_day: int | None = None
    #: Of logs, reports and artifacts altogether.
    storage_bytes: int = storage.USUAL_BYTES


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """`[access]`: who runs the service, with `ACCESS=github`."""

    #: GitHub's numbers of people: they see everything, and do everything that pages offer.
    operators: frozenset[int] = frozenset()


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """All that the file says, one field for each section. Without a file nobody may do anything."""

    #: Whose pull requests run, and what counts as consent.
    trust: trust.Policy = msgspec.field(default_factory=trust.Policy)
    #: By name.
    sources: Mapping[str, Source] = msgspec.field(default_factory=dict)
    #: By name.
    subscribers: Mapping[str, Subscriber] = msgspec.field(default_factory=dict)
    #: By name, in the order of the file.
    engines: Mapping[str, Engine] = msgspec.field(default_factory=dict)
    #: Of each repository.
    quotas: Quotas = msgspec.field(default_factory=Quotas)
    #: What builds may connect to.
    network: policy_network.Network = msgspec.field(default_factory=policy_network.Network)
    #: Which images jobs may have.
    images: images.Rules = msgspec.field(default_factory=images.Rules)
    #: Who runs the service.
    access: Access = msgspec.field(default_factory=Access)


def parse(text: str) -> Policy | tuple[Problem, ...]:
    """The policy that a file says, or everything that is wrong with it, in the order of its lines."""
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        at = _TOML_LINE.search(str(error))
        said = _TOML_LINE.sub("", str(error))
        return (Problem(line=int(at[1]) if at else None, text=f"This is not TOML: {said}."),)
    problems = Problems(lines(text))
    found: dict[str, Any] = {}
    for name, value in given.items():
        reader = _SECTIONS.get(name)
        if reader is None:
            problems.add(
                (name,),
                f"`{shown(name)}` is no section of the policy. {meant(name, _SECTIONS)}",
            )
        elif not isinstance(value, dict):
            problems.add((name,), f"`{name}` is a section: write `[{name}.NAME]` with its keys below.")
        else:
            found[name] = reader(value, problems)
    return problems.in_order() or Policy(**found)


def with_keys(policy: Policy, read: Callable[[SecretFrom], str]) -> Policy | tuple[Problem, ...]:
    """The policy with what its secrets hold, or why some cannot be used.

    :param read: gives a secret as it is written down; raises `ValueError` with a reason where there is none.
    """
    problems: list[Problem] = []

    def keyed(section: str, one: Any) -> Any:
        keys = []
        for secret in one.secrets:
            try:
                keys.append(signing.key(read(secret)))
            except ValueError as error:
                told = f"`{section}.{one.name}.{secret.where}`: {shown(secret.name)}: {error}."
                problems.append(Problem(line=None, text=told))
        return dataclasses.replace(one, keys=tuple(keys))

    made = replace(
        policy,
        sources={name: keyed("sources", one) for name, one in policy.sources.items()},
        subscribers={name: keyed("subscribers", one) for name, one in policy.subscribers.items()},
    )
    return tuple(problems) or made


def _named(section: str, read: Callable[[str, Table], T]) -> Callable[[Mapping[str, Any], Problems], dict[str, T]]:
    """The reader of a section that has one table for each name."""

    def read_all(given: Mapping[str, Any], problems: Problems) -> dict[str, T]:
        found = {}
        for name, value in given.items():
            path = (section, name)
            if not isinstance(value, dict):
                problems.add(path, f"`{section}.{shown(name)}`: write `[{section}.NAME]` with its keys below.")
            elif not _NAME.fullmatch(name):
                wanted = "letters, digits, `-` and `_`, at most 63 of them"
                problems.add(path, f"`{section}.{shown(name)}`: a name has {wanted}.")
            else:
                table = Table(path, value, problems)
                found[name] = read(name, table)
                table.end()
        return found

    return read_all


def _secrets(table: Table) -> tuple[SecretFrom, ...]:
    """Where the secrets are, of which there has to be one."""
    wanted = {Where.FILE: "the path of a file", Where.ENVIRONMENT: "the name of an environment variable"}
    found = tuple(
        SecretFrom(where=where, name=name)
        for where, what in wanted.items()
        for name in table.texts(where, wanted=f"{what}, or a list of them")
    )
    if not found and not any(table.has(where) for where in Where):
        table.wrong(Where.FILE, "a secret is needed: name a file here, or a variable in `secret_env`.")
    return found


def _source(name: str, table: Table) -> Source:
    repository = table.get("repository", str, "", wanted='a repository such as `"octo/hello"`')
    if not _REPOSITORY.fullmatch(repository):
        table.wrong("repository", 'write the repository as `"owner/name"`.')
    ref = table.get("ref", str, "", wanted='a ref such as `"refs/heads/main"`')
    if not _REF.fullmatch(ref) or _REF_WRONG.search(ref):
        table.wrong("ref", 'write one whole branch or tag, such as `"refs/heads/main"`: no pattern, no template.')
    events = table.texts("events", wanted='types such as `["order.paid"]`')
    for one in events:
        if not _TYPE.fullmatch(one):
            table.wrong("events", f"`{shown(one)}` is no type: it has letters, digits, `.`, `_` and `-`.")
    per_minute = table.get("per_minute", int, PER_MINUTE, wanted="a number")
    if not 1 <= per_minute <= 6000:
        table.wrong("per_minute", "write a number from 1 to 6000.")
    return Source(
        name=name,
        repository=repository,
        ref=ref,
        secrets=_secrets(table),
        events=frozenset(events),
        per_minute=per_minute,
    )


def _subscriber(name: str, table: Table) -> Subscriber:
    allow_http = table.get("allow_http", bool, False, wanted="true or false")
    url = table.get("url", str, "", wanted='an address such as `"https://example.org/hook"`')
    wrong = _why_no_url(url, allow_http=allow_http)
    if wrong is not None:
        table.wrong("url", wrong)
    events = table.texts("events", wanted='a list such as `["build.finished"]`')
    for one in events:
        if one not in NOTICES:
            table.wrong("events", f"nobody is told of `{shown(one)}`. {meant(one, NOTICES)}")
    return Subscriber(
        name=name,
        url=url,
        secrets=_secrets(table),
        events=frozenset(events or NOTICES),
        allow_private=table.get("allow_private", bool, False, wanted="true or false"),
        allow_http=allow_http,
    )


def _engine(name: str, table: Table) -> Engine:
    labels = table.texts("labels", wanted='labels such as `["linux", "x64"]`')
    for one in labels:
        if not _LABEL.fullmatch(one):
            table.wrong(
                "labels",
                f"`{shown(one)}` is no label: it has at most 100 characters, no comma and no blank.",
            )
    return Engine(name=name, labels=frozenset(one.lower() for one in labels))


def _trust(given: Mapping[str, Any], problems: Problems) -> trust.Policy:
    table = Table(("trust",), given, problems)
    words = [one.value for one in trust.Approval]
    approval = table.get("approval", str, trust.Approval.OUTSIDERS.value, wanted=either(words))
    if approval not in words:
        table.wrong("approval", f"write {either(words)}.")
        approval = trust.Approval.OUTSIDERS.value
    bots = _ids(table, "bots", such_as=49699333)
    label = table.get("label", str, "", wanted='a label such as `"ok-to-test"`')
    if "label" in given and not 0 < len(label) <= 50:
        table.wrong("label", "write a label of 1 to 50 characters, or leave the key out.")
    table.end()
    return trust.Policy(approval=trust.Approval(approval), bots=bots, label=label or None)


def _access(given: Mapping[str, Any], problems: Problems) -> Access:
    table = Table(("access",), given, problems)
    operators = _ids(table, "operators", such_as=583231)
    table.end()
    return Access(operators=operators)


def _ids(table: Table, key: str, *, such_as: int) -> frozenset[int]:
    """GitHub's numbers of accounts."""
    found = table.get(key, list, [], wanted=f"a list of ids such as `[{such_as}]`")
    if not all(isinstance(one, int) and not isinstance(one, bool) and one > 0 for one in found):
        table.wrong(key, f"write numeric ids such as `[{such_as}]`: a name can pass to somebody else.")
        return frozenset()
    return frozenset(found)


def _quotas(given: Mapping[str, Any], problems: Problems) -> Quotas:
    table = Table(("quotas",), given, problems)
    found: dict[str, int | None] = {}
    for key, most in (("jobs", 10_000), ("hours_per_day", 240_000)):
        number = table.get(key, int, 0, wanted=f"a number from 1 to {most}")
        if table.has(key) and not 1 <= number <= most:
            table.wrong(key, f"write a number from 1 to {most}, or leave the key out.")
        found[key] = number or None
    storage_bytes = _size(table, "storage", usual=storage.USUAL_BYTES)
    table.end()
    return Quotas(**found, storage_bytes=storage_bytes)


def _size(table: Table, key: str, *, usual: int) -> int:
    """A number of bytes, written as in the settings."""
    text = table.get(key, str, "", wanted='a size such as `"10GiB"`')
    if not table.has(key):
        return usual
    found = setting_values.size(text) or 0
    if not _LEAST_BYTES <= found <= _MOST_BYTES:
        table.wrong(key, 'write a size from `"16MiB"` to `"1000TiB"`, such as `"10GiB"`, or leave the key out.')
    return found


def _images(given: Mapping[str, Any], problems: Problems) -> images.Rules:
    table = Table(("images",), given, problems)
    allow = table.texts("allow", wanted='names or globs such as `["docker.io/library/*"]`')
    for one in allow:
        if (wrong := images.why_no_glob(one)) is not None:
            table.wrong("allow", f"`{shown(one)}`: {wrong}.")
    require_digest = table.get("require_digest", bool, False, wanted="true or false")
    table.end()
    return images.Rules(require_digest=require_digest, allow=allow if "allow" in given else None)


#: The reader of each section; its value is the field of `Policy` with the same name.
_SECTIONS: Mapping[str, Callable[[Mapping[str, Any], Problems], Any]] = {
    "trust": _trust,
    "sources": _named("sources", _source),
    "subscribers": _named("subscribers", _subscriber),
    "engines": _named("engines", _engine),
    "quotas": _quotas,
    "network": policy_network.read,
    "images": _images,
    "access": _access,
}
assert set(_SECTIONS) == set(Policy.__struct_fields__)


def _why_no_url(url: str, *, allow_http: bool) -> str | None:
    try:
        parts = urlsplit(url)
        is_whole = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        is_whole = False
    if not is_whole or parts.scheme not in {"http", "https"} or not url.isascii() or not url.isprintable():
        return 'write an address such as `"https://example.org/hook"`.'
    if parts.username is not None or parts.password is not None or parts.fragment:
        return "leave the user name, the password and what follows `#` out of the address."
    if parts.scheme == "http" and not allow_http:
        return "write https. For a receiver on this machine, `allow_http = true` lets http be used, to loopback only."
    return None

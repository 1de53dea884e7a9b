"""The words of a container's `options`, `ports` and `volumes`: what they ask for, and what cannot be asked for."""

from __future__ import annotations

import posixpath
import re
import shlex

import msgspec
from msgspec.structs import replace

from bot.pipelines.problems import quoted

#: Of a service, with what each says; see `Health`.
HEALTH = ("--health-cmd", "--health-interval", "--health-timeout", "--health-retries", "--health-start-period")
#: https://pkg.go.dev/time#ParseDuration
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:h|ms|m|s))+")
_PART = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_VOLUME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_PORT = re.compile(r"(?:(\d{1,5}):)?(\d{1,5})(?:/tcp|/udp)?")
#: A volume there would hide what a container needs to run, or what the job is given.
_TAKEN = ("/dev", "/etc", "/proc", "/run", "/sys", "/workspace", "/home/build", "/tmp")  # noqa: S108 (names only)


class WordProblem(Exception):
    """Something that cannot be asked for; the text says what to write instead."""


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """How one finds out that a service is ready."""

    #: A command for its shell; None where the image says one, or nobody does.
    command: str | None = None
    interval_seconds: float = 30.0
    timeout_seconds: float = 30.0
    retries: int = 3
    #: So long failures do not count.
    start_seconds: float = 0.0


class Volume(msgspec.Struct, frozen=True, kw_only=True):
    """A folder of the job's own, which its containers share where it has a name."""

    target: str
    name: str | None = None
    is_read_only: bool = False


def health(options: str) -> Health:
    """What a service's `options` say.

    :raises WordProblem: if they ask for anything else.
    """
    try:
        words = shlex.split(options)
    except ValueError:
        raise WordProblem("The quotes of `options` do not match.") from None
    found = Health()
    while words:
        name, equals, value = words.pop(0).partition("=")
        if name not in HEALTH:
            raise WordProblem(
                f"{quoted(name)} cannot be asked for: `options` of a service takes "
                f"{', '.join(f'`{one}`' for one in HEALTH)} only. Delete it."
            )
        if not equals:
            if not words:
                raise WordProblem(f"`{name}` needs a value.")
            value = words.pop(0)
        found = _with(found, name, value)
    return found


def _with(found: Health, name: str, value: str) -> Health:
    match name:
        case "--health-cmd":
            return replace(found, command=value)
        case "--health-retries":
            if not value.isdigit() or not 1 <= int(value) <= 1000:
                raise WordProblem(f"`{name}` is a number from 1 to 1000.")
            return replace(found, retries=int(value))
        case "--health-interval":
            return replace(found, interval_seconds=max(0.1, _duration(name, value)))
        case "--health-timeout":
            return replace(found, timeout_seconds=max(0.1, _duration(name, value)))
        case _:
            return replace(found, start_seconds=_duration(name, value))


def _duration(name: str, value: str) -> float:
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(value))
    if not _DURATION.fullmatch(value) or seconds > 3600:
        raise WordProblem(f"`{name}` is a length of time of at most an hour, such as `10s`.")
    return seconds


def port(text: str) -> int:
    """A port of a service: all of a job is in one network, so it is reached by its own number.

    :raises WordProblem: if it is to be another one outside.
    """
    found = _PORT.fullmatch(text)
    if found is None or not 1 <= int(found[2]) <= 65535:
        raise WordProblem(f"{quoted(text)} is no port: write its number, such as `5432`.")
    if found[1] is not None and int(found[1]) != int(found[2]):
        raise WordProblem(
            f"{quoted(text)} asks for another number outside: a job and its services are in one network, where every "
            f"port has its own number. Write `{found[2]}` and use that one."
        )
    return int(found[2])


def volume(text: str) -> Volume:
    """A volume: `/path` for one of its own, `name:/path` for one that the job's containers share.

    :raises WordProblem: if it is anything else, such as a folder of the machine.
    """
    parts = text.split(":")
    is_read_only = len(parts) > 1 and parts[-1] in {"ro", "rw"} and parts.pop() == "ro"
    name = parts[0] if len(parts) == 2 else None
    target = parts[-1]
    if len(parts) > 2 or "\0" in text or not target.startswith("/") or posixpath.normpath(target) != target:
        raise WordProblem(f"{quoted(text)} is no volume: write `/path`, or `name:/path`.")
    if name is not None and not _VOLUME.fullmatch(name):
        raise WordProblem(
            f"{quoted(text)}: a folder of the machine cannot be given to a container. Write a name, such as "
            f"`data:{target}`; the workspace is there already."
        )
    if target == "/" or any(target == taken or target.startswith(f"{taken}/") for taken in _TAKEN):
        raise WordProblem(f"{quoted(text)}: {target} is taken; write another path.")
    return Volume(target=target, name=name, is_read_only=is_read_only)

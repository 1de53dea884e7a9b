"""The files by which a step tells something to those after it: `GITHUB_OUTPUT`, `GITHUB_ENV` and `GITHUB_PATH`.

They lie where the job can write, so whatever is there may be anything: it is opened without following a link, read only
where it is a file, and no further than a limit.

https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#environment-files
"""

from __future__ import annotations

import os
import stat

#: Below the job's folder, and as the job sees it.
FOLDER = ("box", "tmp")
PREFIX = ".buildhook"
OUTPUT, ENV, PATH = "output", "env", "path"
MAX_BYTES = 1 << 20
#: Of one variable: the kernel takes no longer ones.
_MAX_VALUE_BYTES = 100 * 1024
_MAX_ENV_BYTES = 512 * 1024
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
#: Of the service's making, or how the next step itself is started.
_KEPT = ("GITHUB_", "BUILDHOOK_")


class Refused(Exception):
    """A step cannot run as it is written, or gave what cannot be taken; the text says why."""


def name(kind: str, index: int) -> str:
    """The name of a file in `FOLDER`."""
    return f"{PREFIX}-{index}-{kind}"


def is_any(index: int) -> bool:
    """Whether a step wrote something for those after it."""
    return any(os.path.lexists("/".join((*FOLDER, name(kind, index)))) for kind in (OUTPUT, ENV, PATH))


def outputs(index: int) -> dict[str, str]:
    """The outputs that a step wrote, by name; the last one of a name counts.

    :raises Refused: if that cannot be read.
    """
    return _pairs(OUTPUT, index)


def variables(index: int) -> dict[str, str]:
    """The variables that a step wrote for those after it.

    :raises Refused: if that cannot be read, or no program could be started with it.
    """
    found = _pairs(ENV, index)
    for key, value in found.items():
        if key.startswith(_KEPT) or "\0" in value or len(value.encode()) > _MAX_VALUE_BYTES:
            raise Refused(f"It wrote `{key[:60]}` into GITHUB_ENV: that name is kept, or its value too long.")
    if sum(len(key) + len(value.encode()) for key, value in found.items()) > _MAX_ENV_BYTES:
        raise Refused(f"It wrote more than {_MAX_ENV_BYTES >> 10} KiB into GITHUB_ENV.")
    return found


def paths(index: int) -> list[str]:
    """The folders that a step wrote, to come first in `PATH`; the last one is the first.

    :raises Refused: if that cannot be read.
    """
    return [line for line in _text(PATH, index).splitlines() if line and "\0" not in line]


def _pairs(kind: str, index: int) -> dict[str, str]:
    lines = _text(kind, index).split("\n")
    found: dict[str, str] = {}
    at = 0
    while at < len(lines):
        line = lines[at].removesuffix("\r")
        at += 1
        if not line:
            continue
        equals, heredoc = line.find("="), line.find("<<")
        if heredoc > 0 and (equals < 0 or heredoc < equals):
            key, delimiter = line[:heredoc], line[heredoc + 2 :]
            end = next((n for n in range(at, len(lines)) if lines[n].removesuffix("\r") == delimiter), None)
            if end is None or not delimiter:
                raise Refused(f"It wrote `{_shown(key)}<<{_shown(delimiter)}`, and no line that ends it.")
            value, at = "\n".join(lines[at:end]), end + 1
        elif equals > 0:
            key, value = line[:equals], line[equals + 1 :]
        else:
            raise Refused(f"It wrote `{_shown(line)}`, which is no `name=value`.")
        if not key.replace("-", "_").isidentifier() or not key.isascii():
            raise Refused(f"It wrote the name `{_shown(key)}`: use letters, digits, `-` and `_`.")
        found[key] = value
    return found


def _shown(text: str) -> str:
    return "".join(one if one.isprintable() and one != "`" else "?" for one in text[:60])


def _text(kind: str, index: int) -> str:
    data = read((*FOLDER, name(kind, index)), limit=MAX_BYTES)
    if data is None:
        return ""
    if len(data) > MAX_BYTES:
        raise Refused(f"It wrote more than {MAX_BYTES >> 20} MiB into GITHUB_{kind.upper()}.")
    return data.decode("utf-8", "replace").removeprefix("\ufeff")


def opened(way: tuple[str, ...]) -> int | None:
    """A file below the job's folder, opened for reading without following a link; None where there is no file."""
    folder = os.open(".", _DIRECTORY)
    try:
        for part in way[:-1]:
            inner = os.open(part, _DIRECTORY, dir_fd=folder)
            os.close(folder)
            folder = inner
        fd = os.open(way[-1], _READ, dir_fd=folder)
    except OSError:
        return None
    finally:
        os.close(folder)
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    return None


def read(way: tuple[str, ...], *, limit: int) -> bytes | None:
    """The start of a file below the job's folder, one byte more than the limit at most; None where there is no file."""
    fd = opened(way)
    if fd is None:
        return None
    try:
        found = b""
        while len(found) <= limit and (part_of := os.read(fd, limit + 1 - len(found))):
            found += part_of
        return found
    except OSError:
        return None
    finally:
        os.close(fd)

"""A terminal in an empty folder, in which the commands of a page are typed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import shlex
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.cli import terminal

ROOT = Path(__file__).parents[2]
_SECONDS = 60.0
#: What the shell says behind a command's output, with its status.
_END = re.compile(r"\x1e(\d+)\x1e\r?\n?")
#: Commands that go on until somebody ends them, and what they say when they are ready.
LASTING = {"buildhook serve": "buildhook listens on", "buildhook simulator": "git clone -c"}
_COLUMNS = 160


class Session:
    """A shell on a terminal; what it starts ends with it."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._master, slave = os.openpty()
        # What lasts has a terminal of its own, and its log lies in a file.
        self._other, other = os.openpty()
        self._log = folder.parent / "log"
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, _COLUMNS, 0, 0))
        self._shell = subprocess.Popen(
            ["bash", "--noprofile", "--norc", "-s"],
            cwd=folder,
            env={**environment, "TERM": "xterm-256color"},
            stdin=subprocess.PIPE,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            pass_fds=[other],
        )
        os.close(slave)
        self._lasting = f">&{other} 2>>{shlex.quote(str(self._log))} &"
        self._inner = other

    def run(self, command: str) -> tuple[int, str]:
        """Type one command; gives its status and what the terminal shows of it."""
        lasting = next((ready for name, ready in LASTING.items() if is_of(command, name)), None)
        # The shell's own input is the next command: no command reads that.
        typed = f"{{ {command}\n}} </dev/null"
        if lasting is None:
            self._type(f"{typed}; printf '\\036%d\\036\\n' \"$?\"\n")
            written = self._until(self._master, _END)
            found = _END.search(written)
            assert found is not None
            return int(found[1]), "\n".join(screen(written[: found.start()]))
        self._type(f"{typed} {self._lasting}\n")
        return 0, "\n".join(screen(self._until(self._other, re.compile(re.escape(lasting) + ".*\n"))))

    def close(self) -> None:
        """End the shell and all that it started."""
        assert self._shell.stdin is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._shell.pid, signal.SIGTERM)
        self._shell.stdin.close()
        os.close(self._inner)
        self._until(self._master, None)
        self._until(self._other, None)
        self._shell.wait(_SECONDS)
        os.close(self._master)
        os.close(self._other)

    def _type(self, text: str) -> None:
        assert self._shell.stdin is not None
        self._shell.stdin.write(text.encode())
        self._shell.stdin.flush()

    def _until(self, master: int, wanted: re.Pattern[str] | None) -> str:
        """What is written until this comes; None for until nobody can write any more."""
        written, until = b"", time.monotonic() + _SECONDS
        while wanted is None or not wanted.search(written.decode("utf-8", "replace")):
            assert select.select([master], [], [], max(0.0, until - time.monotonic()))[0], written.decode()
            try:
                data = os.read(master, 65_536)
            except OSError:
                data = b""
            if not data:
                assert wanted is None, written.decode()
                break
            written += data
        return written.decode("utf-8", "replace")


@contextlib.contextmanager
def session(folder: Path, environment: Mapping[str, str]) -> Iterator[Session]:
    """A shell that ends with the block."""
    opened = Session(folder, environment)
    try:
        yield opened
    finally:
        opened.close()


def environment(folder: Path, **more: str) -> dict[str, str]:
    """The environment of somebody who has `buildhook`, and nothing of ours."""
    programs = folder / "bin"
    programs.mkdir()
    program = programs / "buildhook"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m bot "$@"\n')
    program.chmod(0o755)
    person = {
        f"GIT_{who}_{what}": value
        for who in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "mona"), ("EMAIL", "mona@example.com"))
    }
    return {
        **person,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1",
        **more,
    }


def is_of(command: str, name: str) -> bool:
    """Whether a command is that one, whatever is set before it or given to it."""
    words = [word for word in shlex.split(command, comments=True) if not re.match(r"[A-Z_]+=", word)]
    return words[: len(name.split())] == name.split()


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def screen(written: str) -> list[str]:
    """The lines that a terminal shows when this was written: what is drawn over is gone."""
    lines, row = [""], 0
    for part in re.split(f"({terminal.SEQUENCE.pattern}|\n)", written):
        if part == "\n":
            row += 1
            if row == len(lines):
                lines.append("")
        elif part == "\x1b[1A":
            row -= 1
        elif part == "\x1b[2K":
            lines[row] = ""
        elif part and not terminal.SEQUENCE.fullmatch(part):
            lines[row] += part
    return [line.rstrip() for line in lines]

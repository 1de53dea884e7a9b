"""A terminal that a command runs on, and what it may be told."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import re
import struct
import termios
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from tests.acceptance import starter

ROWS, COLUMNS = 24, 100
#: Text that moves nothing: no control characters of either set, none that turns text around, and no half of a pair.
_TEXT = "[\x20-\x7e\xa0-\u2027\u202f-\u2065\u206a-\ud7ff\ue000-\U0010ffff]|\r?\n"
_COLOUR = r"\x1b\[[0-9;]*m"
#: How a tree is drawn over the one before: to the line's start, up, erase the line, and the cursor away and back.
_DRAWING = r"\r|\x1b\[1A|\x1b\[2K|\x1b\[\?25[lh]"
SHOWN = re.compile(f"(?:{_TEXT}|{_COLOUR})*")
DRAWN = re.compile(f"(?:{_TEXT}|{_COLOUR}|{_DRAWING})*")
#: What a colour or a movement of ours is made of.
SEQUENCE = re.compile(f"{_COLOUR}|{_DRAWING}")


class Terminal:
    """One command on a terminal of its own: what it wrote so far, and its end."""

    def __init__(self, child: starter.Child, master: int) -> None:
        self.child = child
        self._written = b""
        self._master = master
        self._has_more = asyncio.Event()
        asyncio.get_running_loop().add_reader(master, self._read)

    @property
    def text(self) -> str:
        """All that it wrote; bytes that are no UTF-8 stand out."""
        return self._written.decode("utf-8", "surrogateescape")

    def _read(self) -> None:
        # A terminal that its last writer has left is an error to read.
        with contextlib.suppress(OSError):
            self._written += os.read(self._master, 65_536)
        self._has_more.set()

    async def until(self, text: str) -> str:
        """Wait until it has written this; gives all that it wrote."""
        while text not in SEQUENCE.sub("", self.text):
            self._has_more.clear()
            await self._has_more.wait()
        return self.text

    async def end(self) -> int:
        """Wait for its end; gives the status."""
        status = await self.child.wait()
        self._read()
        return status

    def close(self) -> None:
        """End it, whatever it does."""
        asyncio.get_running_loop().remove_reader(self._master)
        os.close(self._master)
        self.child.kill()


@contextlib.asynccontextmanager
async def running(
    *arguments: str, environment: Mapping[str, str], folder: Path | None = None
) -> AsyncIterator[Terminal]:
    """Run one `buildhook` command on a terminal."""
    master, slave = os.openpty()
    try:
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        env = {**environment, "TERM": "xterm-256color"}
        child = starter.start(arguments, env=env, cwd=folder or Path.cwd(), fds=(slave, slave, slave))
    finally:
        os.close(slave)
    os.set_blocking(master, False)
    terminal = Terminal(child, master)
    try:
        yield terminal
    finally:
        terminal.close()

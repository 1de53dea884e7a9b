"""Starts a job's supervisor, and gives it our word."""

from __future__ import annotations

import marshal
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from bot.engines.local import folder
from bot.engines.local.supervisor import main, orders

# The folder that holds the supervisor's package goes last, so that nothing in it can stand for the standard library.
_CODE = "import sys; sys.path.append(sys.argv[1]); from supervisor import main; main.run()"
_ROOM = str(Path(__file__).parent)


class Supervisor:
    """A supervisor process that waits for our word."""

    def __init__(self, place: folder.Folder, claim: folder.Claim) -> None:
        """Start it in a session of its own and hand it the locked stream."""
        # What is torn at the start of the stream came to nothing.
        os.ftruncate(claim.fd, 0)
        hearing, self._word = os.pipe()
        actions = [
            (os.POSIX_SPAWN_DUP2, hearing, orders.GO),
            (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_RDWR, 0),
            (os.POSIX_SPAWN_OPEN, 2, str(place.path / "supervisor.err"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, claim.fd, main.STREAM),
        ]
        arguments = [sys.executable, "-I", "-S", "-c", _CODE, _ROOM, str(place.path)]
        try:
            #: Its process id.
            self.pid = os.posix_spawn(sys.executable, arguments, {"LANG": "C.UTF-8"}, file_actions=actions, setsid=True)
        except OSError:
            os.close(self._word)
            raise
        finally:
            os.close(hearing)

    def go(self, secrets: Mapping[str, str] | None = None, *, note: str | None = None) -> None:
        """The job is laid out: run it.

        :param secrets: values by name; they go through the pipe and nowhere else.
        :param note: a line for the beginning of the job's log.
        :raises OSError: if it is gone.
        """
        data = b"g" + marshal.dumps({"secrets": dict(secrets or {}), "note": note})
        while data:
            # It reads on until the pipe is closed, so this never waits for long.
            data = data[os.write(self._word, data) :]

    def close(self) -> None:
        """Let go of it; without our whole word it ends by itself and has done nothing."""
        os.close(self._word)

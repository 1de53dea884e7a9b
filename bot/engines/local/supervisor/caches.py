"""The caches of one job, at their two moments: unpacked before the first step, packed after the last one."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from . import caching, files

if TYPE_CHECKING:
    from .ends import End
    from .main import Supervisor

_PACKED = ".buildhook-cache"


class Caches:
    """Finds, unpacks, packs and keeps."""

    def __init__(self, given: dict[str, Any], supervisor: Supervisor) -> None:
        """To be made before anything is mounted, which may cover the caches' path.

        :param given: see `bot.engines.local.caches`, which makes it.
        """
        root = os.open(given["root"], os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._shelf = caching.Shelf(root, given)
        self._restore: dict[str, Any] = given["restore"]
        self._entries: list[dict[str, Any]] = given["entries"]
        self._supervisor = supervisor
        #: The keys that are to be kept, by the entry's number.
        self._missing: dict[int, str] = {}

    def restore(self) -> End:
        """Check the code out, and unpack what there is of each cache on it.

        :raises files.Refused: if a key has no value.
        """
        for number, entry in enumerate(self._entries):
            if number == 0:
                # The code has to be there: a key may depend on it, and what is unpacked lies on top.
                end = self._supervisor.beside({**self._restore, "command": _nothing(self._restore["command"])})
                if end.result != "passed":
                    return end
            self._find(number, entry)
        return self._supervisor.beside(None)

    def _find(self, number: int, entry: dict[str, Any]) -> None:
        key = self._key(entry["key"])
        beginnings = [self._key(one) for one in entry["restore"]]
        began = time.monotonic()
        hit = self._shelf.find(key, beginnings, version=entry["version"])
        if hit is None or not hit.is_exact:
            self._missing[number] = key
        if hit is None:
            self._supervisor.say(f"Cache: nothing for `{key}`.")
            return
        try:
            size = os.fstat(hit.fd).st_size
            end = self._supervisor.beside(self._restore, given=hit.fd)
        finally:
            os.close(hit.fd)
        if end.result != "passed":
            self._missing[number] = key
            self._supervisor.say(f"Cache: `{hit.key}` could not be unpacked: {end.reason}.")
            return
        how = "" if hit.is_exact else f", the newest for `{key}`"
        seconds = time.monotonic() - began
        self._supervisor.say(f"Cache: `{hit.key}`{how}, {size / (1 << 20):.1f} MiB in {seconds:.1f} s.")

    def save(self) -> None:
        """Keep what is missing; whatever goes wrong is said in the log, and never ends the job."""
        for number, key in self._missing.items():
            entry = self._entries[number]
            end = self._supervisor.beside(entry["save"])
            packed = files.opened((*files.FOLDER, f"{_PACKED}-{number}"))
            if end.result != "passed" or packed is None:
                why = end.reason or "none of its paths is there"
                self._supervisor.say(f"Cache: `{key}` is not kept: {why}.")
                if packed is not None:
                    os.close(packed)
                continue
            try:
                size = self._shelf.keep(packed, key, version=entry["version"])
                self._supervisor.say(f"Cache: `{key}` is kept, {size / (1 << 20):.1f} MiB." if size else "")
            except (OSError, ValueError) as error:
                self._supervisor.say(f"Cache: `{key}` is not kept: {error}")
            finally:
                os.close(packed)

    def _key(self, compiled: tuple[Any, ...]) -> str:
        text = self._supervisor.text(compiled)
        shown = " ".join("".join(one if one.isprintable() else " " for one in text).split())
        if not shown or len(shown) > caching.MAX_KEY_CHARACTERS:
            raise files.Refused(f"A key of `cache` is empty, or has more than {caching.MAX_KEY_CHARACTERS} characters.")
        return shown


def _nothing(command: list[str]) -> list[str]:
    """The same beginning, which checks the code out, and then nothing."""
    at = command.index("-c", command.index("-c") + 1)
    return [*command[: at + 1], ":"]

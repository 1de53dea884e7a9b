"""Files that a job leaves behind: found by globs, opened without trust in any name, copied to where no job reaches.

Every process of the job is gone by now, but its files are as it left them: links that lead out, pipes that would block,
devices, files without end. So each folder is opened below the one before, no link is followed, and only what is proved
to be a plain file is read, up to a limit.
"""

from __future__ import annotations

import os
import time
from stat import S_ISLNK, S_ISREG

from . import frames, output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import archive

#: The job's folders, in `box`.
WORKSPACE, RESULTS = "workspace", "results"
#: Where copies go, each under its number.
KEPT = "results"
MAX_DEPTH = 64
_CHUNK_BYTES = 256 * 1024
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Without waiting: a pipe that somebody put in a file's place would never open.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

#: Of a glob's automaton: the active states, and the folders that it is inside of.
State = tuple[int, int]


class Glob:
    """A pattern as `bot.pipelines.globs` compiled it, matched piece by piece on the way down the folders."""

    is_negative: bool
    steps: dict[str, int]
    stays: dict[str, int]
    folders: int
    first: int
    reached: int
    last: int
    accepting: int

    def __init__(self, values: dict[str, object]) -> None:
        for name, value in values.items():
            setattr(self, name, value)

    def begin(self) -> State:
        """Where every name begins."""
        return self._skip(1), 0

    def feed(self, state: State, text: str) -> State:
        """The state behind more of a name."""
        states, inside = state
        steps, stays = self.steps, self.stays
        for one in text:
            after = (states & steps.get(one, steps[""])) << 1 | (states & stays.get(one, stays[""]))
            if one == "/":
                after |= inside << 1
            inside |= states & self.folders
            states = self._skip(after)
        return states, inside

    def accepts(self, state: State) -> bool:
        """Whether the name so far is matched as a whole."""
        return bool(state[0] & self.accepting)

    def _skip(self, states: int) -> int:
        marked = states | self.last
        return states | self.reached & ~((marked - self.first) ^ marked)


class Selection:
    """Globs of one folder, and what their files are collected as."""

    def __init__(self, values: dict[str, object]) -> None:
        self.kind: str = values["kind"]  # type: ignore[assignment]
        self.folder: str = values["folder"]  # type: ignore[assignment]
        #: Of an artifact, of which all files go into one archive; empty where each is told of by itself.
        self.name: str = values.get("name", "")  # type: ignore[assignment]
        given: list[dict[str, object]] = values["globs"]  # type: ignore[assignment]
        self.globs = [Glob(one) for one in given]

    def begin(self) -> list[State]:
        """Where every name begins."""
        return [glob.begin() for glob in self.globs]

    def feed(self, states: list[State], text: str) -> list[State]:
        """The states behind more of a name."""
        return [glob.feed(state, text) for glob, state in zip(self.globs, states, strict=True)]

    def is_alive(self, states: list[State]) -> bool:
        """Whether a name that goes on like this could be taken."""
        return any(
            (state[0] or state[1]) and not glob.is_negative for glob, state in zip(self.globs, states, strict=True)
        )

    def takes(self, states: list[State]) -> bool:
        """Whether the name is taken: the last glob that matches decides."""
        is_taken = False
        for glob, state in zip(self.globs, states, strict=True):
            if is_taken is glob.is_negative and glob.accepts(state):
                is_taken = not glob.is_negative
        return is_taken


def collect(stream: output.Stream, wanted: dict[str, object]) -> None:
    """Copy what is wanted and tell of each file. Whatever goes wrong is told as well, and never ends the job.

    :param wanted: what `bot.engines.local.results` made.
    """
    collector = Collector(stream, wanted)
    try:
        collector.run()
    except Exception as error:
        collector.tell("results", "", problem=f"collecting the result files failed: {error}")


class _Enough(Exception):
    """Nothing more is taken; why was told."""


class Collector:
    """Goes through the folders once, for all selections of each."""

    def __init__(self, stream: output.Stream, wanted: dict[str, object]) -> None:
        self._stream = stream
        given: list[dict[str, object]] = wanted["selections"]  # type: ignore[assignment]
        self._selections = [Selection(one) for one in given]
        self._files_left: int = wanted["files"]  # type: ignore[assignment]
        self._file_bytes: int = wanted["file_bytes"]  # type: ignore[assignment]
        self._total_bytes = self._bytes_left = int(wanted["total_bytes"])  # type: ignore[call-overload]
        self._entries_left: int = wanted["entries"]  # type: ignore[assignment]
        self._max_files, self._max_entries = self._files_left, self._entries_left
        self._seconds: float = wanted["seconds"]  # type: ignore[assignment]
        self._deadline = time.monotonic() + self._seconds
        self._number = 0
        #: Artifacts have bounds of their own.
        self._archived_files_left = self._max_archived_files = int(wanted["archived_files"])  # type: ignore[call-overload]
        self._archived_bytes_left = self._max_archived_bytes = int(wanted["archived_bytes"])  # type: ignore[call-overload]
        self._archives: dict[str, archive.Archive] = {}
        self._numbers: dict[str, int] = {}
        #: Artifacts of which nothing more is taken; why was told.
        self._broken: set[str] = set()

    def run(self) -> None:
        """Collect everything."""
        is_whole = True
        for folder in (RESULTS, WORKSPACE):
            selections = [one for one in self._selections if one.folder == folder]
            if selections:
                try:
                    self._enter(os.open("box", _FOLDER), folder, [(one, one.begin()) for one in selections])
                except _Enough:
                    is_whole = False
                    break
        if not is_whole:
            for selection in self._selections:
                if selection.name and selection.name not in self._broken:
                    self._break(selection, "the search ended before all of its files were found.")
        self._close_archives()

    def tell(self, kind: str, path: str, **values: object) -> None:
        """Tell of a file; where the disk is full nobody hears of it."""
        self._stream.try_event(frames.RESULT, {"kind": kind, "path": path, **values})

    def _enter(self, parent: int, name: str, selections: list[tuple[Selection, list[State]]]) -> None:
        """Go through the root of selections, and close what it lies in."""
        try:
            root = os.open(name, _FOLDER, dir_fd=parent)
        except OSError as error:
            for selection, _ in selections:
                self.tell(selection.kind, "", problem=f"the job's {name} cannot be opened: {error.strerror}.")
            return
        finally:
            os.close(parent)
        self._walk(root, "", selections, depth=0)

    def _walk(self, fd: int, path: str, selections: list[tuple[Selection, list[State]]], *, depth: int) -> None:
        """Go through an open folder, and close it."""
        try:
            with os.scandir(fd) as entries:
                names = []
                for entry in entries:
                    self._entries_left -= 1
                    if self._entries_left < 0:
                        break
                    names.append((entry.name, entry.is_dir(follow_symlinks=False)))
            # In an order that does not depend on the disk.
            for name, is_folder in sorted(names):
                self._visit(fd, path, name, is_folder, selections, depth=depth)
            if self._entries_left < 0:
                why = f"the search for result files ended here, after {self._max_entries} names."
                self._stop(selections[0][0].kind, path, why)
        finally:
            os.close(fd)

    def _visit(
        self,
        fd: int,
        path: str,
        name: str,
        is_folder: bool,
        selections: list[tuple[Selection, list[State]]],
        *,
        depth: int,
    ) -> None:
        if time.monotonic() > self._deadline:
            why = f"the search for result files ended here, after {self._seconds:g} seconds."
            self._stop(selections[0][0].kind, path, why)
        within = [(selection, selection.feed(states, name)) for selection, states in selections]
        if not is_folder:
            for selection, states in within:
                if selection.takes(states) and selection.name:
                    self._archive(fd, name, path + name, selection)
                elif selection.takes(states):
                    self._take(fd, name, path + name, selection.kind)
            return
        below = [(selection, selection.feed(states, "/")) for selection, states in within]
        below = [one for one in below if one[0].is_alive(one[1])]
        if not below or (name == ".git" and not path) or depth + 1 >= MAX_DEPTH:
            return
        try:
            inner = os.open(name, _FOLDER, dir_fd=fd)
        except OSError as error:
            self._count(below[0][0].kind, f"{path}{name}/")
            self.tell(below[0][0].kind, f"{path}{name}/", problem=f"it cannot be opened: {error.strerror}.")
            return
        self._walk(inner, f"{path}{name}/", below, depth=depth + 1)

    def _archive(self, folder: int, name: str, path: str, selection: Selection) -> None:
        """Put one file into the archive of its artifact; links, pipes and devices are left out."""
        if selection.name in self._broken:
            return
        try:
            problem = self._put(folder, name, path, selection)
        except OSError as error:
            problem = f"{path} cannot be kept: {error.strerror}."
        if problem is not None:
            self._break(selection, problem)

    def _put(self, folder: int, name: str, path: str, selection: Selection) -> str | None:
        from . import archive  # only where there are artifacts: it costs a job's end some milliseconds

        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if not S_ISREG(found.st_mode):
            return None
        if self._archived_files_left == 0:
            return f"the artifacts of a job may have {self._max_archived_files} files together."
        if found.st_size > self._archived_bytes_left:
            return f"the artifacts of a job may have {self._max_archived_bytes >> 20} MiB together."
        fd = os.open(name, _FILE, dir_fd=folder)
        try:
            if not S_ISREG(os.fstat(fd).st_mode):
                return None
            if selection.name not in self._archives:
                os.makedirs(KEPT, mode=0o700, exist_ok=True)
                self._archives[selection.name] = archive.Archive(f"{KEPT}/{self._number}")
                self._numbers[selection.name] = self._number
                self._number += 1
            size = self._archives[selection.name].add(fd, path, most_bytes=self._archived_bytes_left)
        except archive.Full:
            return f"{path} grew while it was read."
        finally:
            os.close(fd)
        self._archived_files_left -= 1
        self._archived_bytes_left -= size
        return None

    def _break(self, selection: Selection, problem: str) -> None:
        """Leave a whole artifact out: half of one is worse than none."""
        self._broken.add(selection.name)
        if selection.name in self._archives:
            self._archives.pop(selection.name).forget()
        self.tell(selection.kind, selection.name, problem=f"it is left out: {problem}")

    def _close_archives(self) -> None:
        for selection in self._selections:
            made = self._archives.pop(selection.name, None)
            if made is None:
                if selection.name and selection.name not in self._broken:
                    self.tell(selection.kind, selection.name, problem="no file matches its `path`.")
                continue
            try:
                size, digest = made.close()
            except OSError as error:
                made.forget()
                self.tell(selection.kind, selection.name, problem=f"it cannot be kept: {error.strerror}.")
                continue
            number = self._numbers[selection.name]
            self.tell(selection.kind, selection.name, size=size, sha256=digest, number=number, files=made.count)

    def _take(self, folder: int, name: str, path: str, kind: str) -> None:
        self._count(kind, path)
        try:
            problem = self._copy(folder, name, path, kind)
        except OSError as error:
            problem = f"it cannot be read: {error.strerror}."
        if problem is not None:
            self.tell(kind, path, problem=problem)

    def _count(self, kind: str, path: str) -> None:
        """Count what is told of, whether it can be had or not."""
        if self._files_left == 0:
            self._stop(kind, path, f"it and all behind it are left out: a job may have {self._max_files} result files.")
        self._files_left -= 1

    def _stop(self, kind: str, path: str, why: str) -> None:
        self.tell(kind, path, problem=why)
        raise _Enough

    def _copy(self, folder: int, name: str, path: str, kind: str) -> str | None:
        """Copy one file; gives why not, where it is none to be taken."""
        # Looked at before it is opened, and again after: opening alone can already do something to what is no file.
        problem = self._doubt(os.stat(name, dir_fd=folder, follow_symlinks=False))
        if problem is not None:
            return problem
        fd = os.open(name, _FILE, dir_fd=folder)
        try:
            problem = self._doubt(os.fstat(fd))
            return problem if problem is not None else self._keep(fd, path, kind)
        finally:
            os.close(fd)

    def _doubt(self, found: os.stat_result) -> str | None:
        if S_ISLNK(found.st_mode):
            return "it is a symbolic link, and none is followed."
        if not S_ISREG(found.st_mode):
            return "it is no regular file."
        if found.st_nlink != 1:
            return f"it has {found.st_nlink} names (hard links), and only files with one are taken."
        if found.st_size > self._file_bytes:
            return f"it has {found.st_size} bytes, and at most {self._file_bytes} are taken."
        return self._doubt_total(found.st_size)

    def _doubt_total(self, size: int) -> str | None:
        if size <= self._bytes_left:
            return None
        return f"it is left out: the result files of a job may have {self._total_bytes} bytes together."

    def _keep(self, fd: int, path: str, kind: str) -> str | None:
        # Only where there is something to collect: it costs a job's end some milliseconds.
        from hashlib import sha256

        os.makedirs(KEPT, mode=0o700, exist_ok=True)
        target = f"{KEPT}/{self._number}"
        # It may grow while it is read: one byte behind the limit is enough to know.
        most = min(self._file_bytes, self._bytes_left)
        parts: list[bytes] = []
        size = 0
        while size <= most and (part := os.read(fd, min(_CHUNK_BYTES, most + 1 - size))):
            parts.append(part)
            size += len(part)
        if size > most:
            return f"it grew beyond {most} bytes while it was read."
        # What a report says is shown: it is kept from telling a secret as the log is.
        data = self._stream.hide(b"".join(parts))
        size, digest = len(data), sha256(data)
        try:
            with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as kept:
                kept.write(data)
        except OSError as error:
            _forget(target)
            return f"it cannot be kept: {error.strerror}."
        self._bytes_left -= size
        self.tell(kind, path, size=size, sha256=digest.hexdigest(), number=self._number)
        self._number += 1
        return None


def _forget(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        return

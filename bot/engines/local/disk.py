"""The engine's part of the data folder: what lies where, and what is thrown away."""

from __future__ import annotations

import secrets
import subprocess
import time
from pathlib import Path

from bot import telemetry
from bot.engines.local import folder, sandbox

_log = telemetry.log("engines")
#: How long a cancellation of a job that never came is remembered.
_MARKS_KEPT_SECONDS = 30 * 86400.0


class Disk:
    """Folders of one engine, for the service alone. Its methods block: they are called from threads."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir.absolute() / "engine"
        self.jobs = self.data_dir / "jobs"
        self.mirrors = self.data_dir / "mirrors"
        self.probes = self.data_dir / "probes"
        #: Files for /etc of a sandbox.
        self.etc = self.data_dir / "etc"
        self._marks = self.data_dir / "cancelled"
        #: What is being deleted; nobody looks in there.
        self.trash = self.data_dir / "trash"

    def make(self) -> None:
        """Make all folders, and take away what a killed service left half made.

        :raises OSError: if the data folder cannot be written.
        """
        for path in (self.jobs, self.mirrors, self.probes, self._marks, self.trash):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.chmod(0o700)
        sandbox.write_etc(self.etc)
        for path in (*self.jobs.glob(".new-*"), *self._marks.glob(".*"), *self.probes.iterdir()):
            self.throw(path)
        oldest = time.time() - _MARKS_KEPT_SECONDS
        for path in self._marks.iterdir():
            if path.stat().st_mtime < oldest:
                path.unlink(missing_ok=True)

    @property
    def caches(self) -> Path:
        """Where caches lie."""
        return self.mirrors.parent / "caches"

    @property
    def large(self) -> Path:
        """Where objects of Git LFS lie."""
        return self.mirrors.parent / "lfs"

    def job(self, job_id: str) -> folder.Folder:
        """A job's folder.

        :raises bot.errors.EngineError: if the id could not be a folder's name.
        """
        return folder.Folder(self.jobs, job_id)

    def mark(self, job_id: str) -> Path:
        """Where the cancellation of an unknown job is remembered."""
        return self._marks / job_id

    def throw(self, path: Path) -> None:
        """Put something where it is deleted from; it is gone from its place at once."""
        try:
            path.rename(self.trash / secrets.token_hex(12))
        except FileNotFoundError:
            return

    def empty(self) -> None:
        """Delete what was thrown away. A build may have made any names, links, modes and depths in it."""
        for path in self.trash.iterdir():
            arguments = ["rm", "-rf", "--one-file-system", "--", str(path)]
            if subprocess.run(arguments, stderr=subprocess.DEVNULL, check=False).returncode == 0:
                continue
            # An unprivileged service has to give itself the folders back that a build closed.
            subprocess.run(["chmod", "-R", "u+rwX", "--", str(path)], stderr=subprocess.DEVNULL, check=False)
            if subprocess.run(arguments, stderr=subprocess.DEVNULL, check=False).returncode != 0:
                _log.warning("something thrown away stays on the disk", action="trash_kept", path=str(path))

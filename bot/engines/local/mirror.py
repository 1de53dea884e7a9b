"""A mirror: what was fetched of one repository for one trust, kept by the service and only read by builds."""

from __future__ import annotations

import contextlib
import os
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from bot.engines.local import git, memory, trouble
from bot.engines.local.supervisor import cage

_LOOK_SECONDS = 60.0
_CHECK_SECONDS = 600.0
#: What git warns of, and is content, where a server has less than a whole history.
_CUT_OFF = "shallow roots are not allowed"


class Commit(msgspec.Struct, frozen=True, kw_only=True):
    """A commit that is here."""

    sha: str
    tree: str
    #: Seconds since 1970, as the committer says.
    committed_at: int


class Mirror:
    """One bare repository. Its methods block: they are called from threads; one fetch at a time is the caller's rule.

    Each fetched commit is kept by a ref of its own, `refs/kept/<month>/<sha>`: it is what the next fetch builds on,
    and what keeps it from being collected for a month or two.
    """

    def __init__(
        self, folder: Path, *, program: git.Git, trash: Path, known: memory.Memory[Commit] | None = None
    ) -> None:
        """:param known: what was seen of all mirrors."""
        self.folder = folder
        self._git = program
        self._trash = trash
        self._known = known if known is not None else memory.Memory()

    @property
    def objects(self) -> Path:
        """The folder that builds read."""
        return self.folder / "objects"

    def recall(self, oids: tuple[str, ...]) -> tuple[Commit, ...] | None:
        """The commits, where that is known without asking git."""
        return self._known.recall(self.folder, oids, now=memory.packs(self.folder))

    def look(self, oids: tuple[str, ...]) -> tuple[Commit, ...] | None:
        """The commits, or None where not all of them are here."""
        try:
            # When it was last of use, for `discard_unused`.
            os.utime(self.folder)
        except FileNotFoundError:
            return None
        packs = memory.packs(self.folder)
        # What a machine that lost its power leaves behind: git sees it only where it happens to look.
        is_suspect = (self.folder / cage.SUSPECT).exists() or any(
            size == 0 and name.endswith((".pack", ".idx")) for name, size, _, _ in packs
        )
        if is_suspect and not self._is_sound():
            return None
        if (commits := self._known.recall(self.folder, oids, now=packs)) is not None:
            return commits
        if not self._are_kept(oids):
            return None
        arguments = ["rev-list", "--no-walk=unsorted", "--no-commit-header", "--format=%H %T %ct", "--end-of-options"]
        answer = self._git.run(
            f"--git-dir={self.folder}", *arguments, *map(git.check_oid, oids), "--", timeout_seconds=_LOOK_SECONDS
        )
        # A commit that is not here is one line, `fatal: bad object`; of files that it cannot read git says `error:`.
        if any(line.startswith("error:") for line in answer.stderr.splitlines()) and not self._is_sound():
            return None
        if answer.code != 0:
            return None
        found: dict[str, Commit] = {}
        for line in answer.stdout.decode("ascii", "replace").splitlines():
            sha, tree, seconds = line.split(" ")
            found[sha] = Commit(sha=sha, tree=tree, committed_at=int(seconds))
        self._known.note(self.folder, packs, found)
        # A tag's id would have given the commit that it names.
        return tuple(found[oid] for oid in oids) if found.keys() >= set(oids) else None

    def _are_kept(self, oids: tuple[str, ...]) -> bool:
        """Whether each has a ref of its own, as all have that were fetched; seen without starting git.

        One that only came along as another one's parent has none, and is asked for once.
        """
        try:
            packed = (self.folder / "packed-refs").read_bytes()
        except FileNotFoundError:
            packed = b""
        months = list((self.folder / "refs" / "kept").glob("*"))
        return all(
            any((month / oid).exists() for month in months) or f"{oid} refs/kept/".encode() in packed for oid in oids
        )

    def fetch(self, oids: tuple[str, ...], *, url: str, token: str | None, timeout_seconds: float) -> None:
        """Fetch exactly these commits and what they stand on.

        :raises trouble.Fetching: if it cannot be done; says whether to try again.
        """
        host = urlsplit(url).hostname or "the server"
        self.make(is_sha256=len(oids[0]) == 64)
        month = datetime.now(UTC).strftime("%Y%m")
        arguments = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--force"]
        arguments += ["--no-auto-maintenance", "--no-show-forced-updates", "--refmap=", "--end-of-options", url]
        refs = [f"{git.check_oid(oid)}:refs/kept/{month}/{oid}" for oid in oids]
        try:
            answer = self._git.run(
                f"--git-dir={self.folder}", *arguments, *refs, url=url, token=token, timeout_seconds=timeout_seconds
            )
        except git.TookTooLong as error:
            self._clean(error.stderr)
            raise trouble.Fetching(
                f"{host} took longer than {timeout_seconds:g} seconds, the time limit.", log=error.stderr
            ) from error
        if answer.code != 0:
            self._clean(answer.stderr)
            raise trouble.fetching(answer.stderr, host=host)
        if _CUT_OFF in answer.stderr:
            # It has taken what came all the same, and later it would look whole.
            self.discard()
            raise trouble.Fetching(
                f"{host} gave a history that is cut off, and only whole ones are tested.", log=answer.stderr
            )
        if self.look(oids) is None:
            raise trouble.Fetching(
                "What was fetched is not the commit that was asked for.",
                log=answer.stderr,
                is_passing=True,
                is_damaged=True,
            )

    def doubt(self) -> None:
        """Something in it could not be read: look at all of it before the next job."""
        (self.folder / cage.SUSPECT).touch()

    def discard(self) -> None:
        """Put the mirror away, so that the next fetch makes it anew."""
        if self.folder.exists():
            self.folder.rename(self._trash / f"{self.folder.name}-{secrets.token_hex(8)}")

    def discard_unused(self, *, before: datetime) -> bool:
        """Put the mirror away if it was of no use since an instant; says whether it was put away."""
        with contextlib.suppress(FileNotFoundError):
            if self.folder.stat().st_mtime < before.timestamp():
                self.discard()
                return True
        return False

    def tidy(self) -> None:
        """Let go of what nobody built for a month, and pack what has piled up."""
        last = (datetime.now(UTC).replace(day=1) - timedelta(days=1)).strftime("%Y%m")
        names = self._git.ask(f"--git-dir={self.folder}", "for-each-ref", "--format=%(refname)", "refs/kept/").split()
        old = [name for name in names if name.split("/")[2] < last]
        if old:
            lines = "".join(f"delete {name}\n" for name in old)
            self._git.ask(f"--git-dir={self.folder}", "update-ref", "--stdin", stdin=lines.encode())
        options = ["-c", "gc.auto=2000", "-c", "gc.autoPackLimit=30", "-c", "gc.autoDetach=false"]
        self._git.ask(*options, f"--git-dir={self.folder}", "gc", "--auto", "--quiet", timeout_seconds=3600.0)

    def make(self, *, is_sha256: bool) -> None:
        """Make it, still empty, where it is not there."""
        if (self.folder / "HEAD").exists():
            return
        self.discard()
        made = self.folder.with_name(f".{self.folder.name}-{secrets.token_hex(8)}")
        made.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in ("", "objects", "objects/info", "objects/pack", "refs", "refs/heads", "refs/tags"):
            # Builds read the objects as another user, whatever our mask is.
            (made / name).mkdir()
            (made / name).chmod(0o755)
        kind = "[extensions]\n\tobjectFormat = sha256\n" if is_sha256 else ""
        version = f"\trepositoryFormatVersion = {1 if is_sha256 else 0}\n"
        (made / "config").write_text(f"[core]\n{version}\tfileMode = true\n\tbare = true\n{kind}", encoding="ascii")
        (made / "HEAD").write_text("ref: refs/heads/main\n", encoding="ascii")
        made.rename(self.folder)

    def _is_sound(self) -> bool:
        answer = self._git.run(
            f"--git-dir={self.folder}", "fsck", "--no-dangling", "--no-progress", timeout_seconds=_CHECK_SECONDS
        )
        if answer.code == 0:
            (self.folder / cage.SUSPECT).unlink(missing_ok=True)
            return True
        self.discard()
        return False

    def _clean(self, stderr: str) -> None:
        # Left behind by a fetch that failed or was killed; nobody else fetches into this mirror.
        for path in self.folder.glob("objects/pack/tmp_*"):
            path.unlink(missing_ok=True)
        if ".lock': File exists" in stderr:
            for path in (*self.folder.glob("refs/kept/**/*.lock"), *self.folder.glob("*.lock")):
                path.unlink(missing_ok=True)

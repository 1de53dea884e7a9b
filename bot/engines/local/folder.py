"""A job's folder: request, stream, lock and cancellation; who holds the lock is the only one to write the stream."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import shutil
import time
from pathlib import Path
from typing import Any, Self

import msgspec

from bot import errors, images
from bot.engines import contract
from bot.engines.local.supervisor import frames, output
from bot.model import build, job

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z")
_REASON_CHARACTERS = 2000


class _Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request as kept on disk: all but the token and the secrets."""

    needs_token: bool
    #: Not there in a folder of a version that knew none.
    needs_secrets: bool = False
    job_id: str
    repository_id: int
    url: str
    head_sha: str
    base_sha: str | None
    trust: build.Trust
    plan: job.Plan
    env: dict[str, str]
    trace_parents: tuple[str, ...] = ()
    timeout_seconds: float
    log_bytes: int | None = None
    contexts: dict[str, Any] = {}
    cache_scopes: contract.CacheScopes | None = None
    images: images.Rules = images.DEFAULT


class Folder:
    """One job on disk. Its methods block: they are called from threads.

    :raises errors.EngineError: if the id could not be a folder's name.
    """

    def __init__(self, jobs: Path, job_id: str) -> None:
        if not _ID.match(job_id):
            raise errors.EngineError(f"{job_id[:80]!r} cannot be a job's id: letters, digits, - and _ only.")
        self.path = jobs / job_id
        self.job_id = job_id

    @property
    def box(self) -> Path:
        """What the job itself may see: its workspace, home, temporary files and scripts."""
        return self.path / "box"

    def exists(self) -> bool:
        """Whether the job was taken over."""
        return self.path.is_dir()

    def was_launched(self) -> bool:
        """Whether its stream has begun."""
        return (self.path / "stream").stat().st_size > 0

    def accept(self, request: contract.JobRequest) -> bool:
        """Take the job over, durably and as a whole; False where it was taken before.

        :raises errors.EngineError: if it cannot be written.
        """
        if self.exists():
            return False
        made = self.path.with_name(f".new-{secrets.token_hex(8)}")
        try:
            made.mkdir(mode=0o700, parents=True)
            _write(made / "request.json", _encode(request))
            _write(made / "stream", b"")
            (made / output.BALLAST).write_bytes(bytes(output.BALLAST_BYTES))
            os.mkfifo(made / "control", mode=0o600)
            _sync(made)
            os.rename(made, self.path)
            _sync(self.path.parent)
        except OSError as error:
            shutil.rmtree(made, ignore_errors=True)
            if self.exists():
                return False
            raise errors.EngineError(f"The job cannot be written to {self.path.parent}: {error.strerror}.") from error
        return True

    def request(self) -> tuple[contract.JobRequest, bool]:
        """The request without its token and its secrets, and whether it had any."""
        kept = msgspec.json.decode((self.path / "request.json").read_bytes(), type=_Request)
        source = contract.Source(
            repository_id=kept.repository_id,
            url=kept.url,
            head_sha=kept.head_sha,
            base_sha=kept.base_sha,
            trust=kept.trust,
        )
        request = contract.JobRequest(
            job_id=kept.job_id,
            source=source,
            plan=kept.plan,
            env=kept.env,
            trace_parents=kept.trace_parents,
            timeout_seconds=kept.timeout_seconds,
            log_bytes=kept.log_bytes,
            contexts=kept.contexts,
            cache_scopes=kept.cache_scopes,
            images=kept.images,
        )
        return request, kept.needs_token or kept.needs_secrets

    def cancel(self, reason: str) -> None:
        """Note the cancellation, the first reason stays, and tell the supervisor where there is one."""
        cancel_in(self.path / "cancel", reason)
        try:
            control = os.open(self.path / "control", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            # Nobody reads: there is no supervisor, or it is not yet so far and looks for the note next.
            return
        try:
            os.write(control, b".")
        except OSError:
            return
        finally:
            os.close(control)

    def cancel_reason(self) -> str | None:
        """Why it is to be cancelled, or None."""
        return read_reason(self.path / "cancel")

    def claim(self, *, waits_for_ended: bool = False) -> Claim | None:
        """The lock of the stream, or None while somebody else has it.

        :param waits_for_ended: wait for who has written the end and is about to let go.
        :raises errors.NotFound: if there is no such job.
        """
        # Read-only, because followers are woken whenever one that can write is closed.
        looking = self._open(os.O_RDONLY)
        try:
            is_ended = False
            if not _lock(looking):
                is_ended = waits_for_ended and Claim(looking, ballast=self.path / output.BALLAST).is_finished
                if not is_ended:
                    return None
        finally:
            os.close(looking)
        fd = self._open(os.O_RDWR | os.O_APPEND)
        if is_ended:
            fcntl.flock(fd, fcntl.LOCK_EX)
        elif not _lock(fd):
            os.close(fd)
            return None
        return Claim(fd, ballast=self.path / output.BALLAST)

    def _open(self, mode: int) -> int:
        try:
            return os.open(self.path / "stream", mode | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise errors.NotFound(f"There is no job {self.job_id} here.") from error

    def last_words(self) -> str:
        """What a supervisor that broke said."""
        try:
            return (self.path / "supervisor.err").read_text(encoding="utf-8", errors="replace")[-4000:]
        except OSError:
            return ""


class Claim:
    """The lock of a job's stream: as long as it is held, here or by a supervisor, nobody else writes or launches."""

    def __init__(self, fd: int, *, ballast: Path) -> None:
        self.fd = fd
        self._ballast = ballast
        self._end = 0
        self._log_at = 0
        #: Whether a supervisor had it.
        self.was_launched = False
        self.is_finished = False
        self._look()

    @property
    def is_fresh(self) -> bool:
        """Whether nothing was written: it may be launched."""
        return self._end == 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the lock go here; a supervisor that was given it keeps it."""
        os.close(self.fd)

    def finish(self, result: contract.Result, reason: str | None, *, log: str = "") -> None:
        """Write the job's end behind what is whole, durably; on a full disk in the room that was kept for it.

        :raises OSError: if it cannot be written all the same.
        """
        data = log.encode("utf-8", "replace")
        parts = [
            data[start : start + frames.MAX_PAYLOAD_BYTES] for start in range(0, len(data), frames.MAX_PAYLOAD_BYTES)
        ]
        values: dict[str, object] = {"at": time.time(), "result": result.value, "reason": reason}
        ending = [*((frames.OUTPUT, part) for part in parts), (frames.FINISHED, frames.fields(values))]
        try:
            self._put(ending)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            self._ballast.unlink(missing_ok=True)
            self._put(ending)
        os.fdatasync(self.fd)
        self.is_finished = True

    def _put(self, ending: list[tuple[int, bytes]]) -> None:
        os.ftruncate(self.fd, self._end)
        log_at = self._log_at
        for kind, payload in ending:
            whole = frames.head(kind, payload, log_at=log_at) + payload
            if os.write(self.fd, whole) < len(whole):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            log_at += len(payload) if kind == frames.OUTPUT else 0

    def _look(self) -> None:
        while data := os.pread(self.fd, 8 * frames.MAX_PAYLOAD_BYTES, self._end):
            found = frames.decode(data, at=self._end)
            for frame in found:
                self.was_launched |= frame.kind == frames.LAUNCHED
                self.is_finished |= frame.kind == frames.FINISHED
                self._end = frame.end
                self._log_at = frame.log_at + (len(frame.payload) if frame.kind == frames.OUTPUT else 0)
            if not found:
                # What follows is torn or damaged: nothing behind it counts.
                self.is_finished = False
                return


def _lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def cancel_in(path: Path, reason: str) -> None:
    """Write a cancellation that stays; the first one counts."""
    if path.exists():
        return
    made = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    _write(made, reason[:_REASON_CHARACTERS].encode("utf-8", "replace"))
    os.rename(made, path)
    _sync(path.parent)


def read_reason(path: Path) -> str | None:
    """A cancellation's reason, or None where there is none."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None


def _encode(request: contract.JobRequest) -> bytes:
    source = request.source
    kept = _Request(
        needs_token=source.token is not None,
        needs_secrets=request.secrets is not None,
        job_id=request.job_id,
        repository_id=source.repository_id,
        url=source.url,
        head_sha=source.head_sha,
        base_sha=source.base_sha,
        trust=source.trust,
        plan=request.plan,
        env=dict(request.env),
        trace_parents=request.trace_parents,
        timeout_seconds=request.timeout_seconds,
        log_bytes=request.log_bytes,
        contexts=dict(request.contexts),
        cache_scopes=request.cache_scopes,
        images=request.images,
    )
    return msgspec.json.encode(kept)


def _write(path: Path, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:
        file.write(data)
        file.flush()
        if data:
            os.fsync(fd)


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)

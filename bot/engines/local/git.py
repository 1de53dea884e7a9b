"""Git that obeys nobody but us: no configuration of this machine, no hooks, no other protocol, no other host."""

from __future__ import annotations

import base64
import os
import re
import select
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import msgspec

from bot import errors, telemetry

_OUTPUT_BYTES = 1 << 20
#: `merge-tree --write-tree` is new with it.
_OLDEST = (2, 38)
_OID = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")
_URL = re.compile(r"https?://(?:\[[0-9a-fA-F:]+\]|[A-Za-z0-9][A-Za-z0-9.\-]*)(?::[0-9]{1,5})?/[A-Za-z0-9._~/\-]+\Z")
_LOOPBACK = re.compile(r"127(?:\.[0-9]{1,3}){3}\Z|localhost\Z|::1\Z")

#: https://git-scm.com/docs/git-config
_CONFIG = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.attributesFile": "/dev/null",
    "core.excludesFile": "/dev/null",
    "core.askPass": "",
    "core.protectHFS": "true",
    "core.protectNTFS": "true",
    # Builds read the mirror as another user.
    "core.sharedRepository": "0644",
    "credential.helper": "",
    "fetch.fsckObjects": "true",
    "transfer.fsckObjects": "true",
    # Whatever comes is one pack: quicker than a file for each object, and seen at a glance whether it is still there.
    "fetch.unpackLimit": "1",
    "fetch.recurseSubmodules": "false",
    "submodule.recurse": "false",
    "protocol.allow": "never",
    "http.followRedirects": "false",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "30",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "advice.detachedHead": "false",
    "safe.bareRepository": "explicit",
    # Old and harmless mistakes that many real histories have; GitHub lets them in as well.
    **{
        f"fetch.fsck.{name}": "ignore"
        for name in ("badTimezone", "missingSpaceBeforeDate", "missingNameBeforeEmail", "zeroPaddedFilemode")
    },
    # Git only warns of these by default.
    **{f"fetch.fsck.{name}": "error" for name in ("hasDot", "hasDotdot", "hasDotgit", "fullPathname", "nullSha1")},
}


class Failed(errors.EngineError):
    """Git ended with an error."""

    def __init__(self, text: str, *, stderr: str) -> None:
        super().__init__(text)
        #: Git's own words, without credentials.
        self.stderr = stderr


class TookTooLong(Failed):
    """Git was stopped at its time limit."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What git said."""

    code: int
    #: The first MiB of it.
    stdout: bytes
    stderr: str


def check_oid(text: str) -> str:
    """The text, if it is a whole object id.

    :raises errors.EngineError: if it is not 40 or 64 lower-case hex digits.
    """
    if not _OID.match(text):
        raise errors.EngineError(f"{text[:80]!r} is not a full commit id of 40 or 64 lower-case hex digits.")
    return text


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its very name."""
    return _LOOPBACK.match(host) is not None


def check_url(text: str) -> str:
    """The text, if it is an address that we fetch from: https, or http on this machine.

    :raises errors.EngineError: if it is anything else, e.g. has credentials, another scheme or a query.
    """
    host = urlsplit(text).hostname if _URL.match(text) else None
    if host is None or (text.startswith("http:") and not is_loopback(host)):
        raise errors.EngineError(
            f"{telemetry.redact(text)[:200]!r} is not an address that code is fetched from: it has to be an https URL "
            "without credentials."
        )
    return text


def environment(*, url: str | None = None, token: str | None = None, extra: Mapping[str, str] = {}) -> dict[str, str]:
    """The whole environment of a git process.

    :param url: where it may fetch from; nowhere when None.
    :param token: sent to that URL's origin only. It goes by the environment, which other users cannot read.
    :param extra: e.g. `https_proxy` or `SSL_CERT_FILE`.
    """
    config = dict(_CONFIG)
    scheme = "none"
    if url is not None:
        parts = urlsplit(check_url(url))
        scheme = parts.scheme
        config[f"protocol.{scheme}.allow"] = "always"
        if token is not None:
            proof = base64.b64encode(f"x-access-token:{token}".encode()).decode()
            config[f"http.{scheme}://{parts.netloc}/.extraHeader"] = f"Authorization: basic {proof}"
    found = {
        **extra,
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": "/nonexistent",
        "LC_ALL": "C.UTF-8",
        "LANGUAGE": "C",
        "GIT_ALLOW_PROTOCOL": scheme,
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_LFS_SKIP_SMUDGE": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_PROTOCOL_FROM_USER": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_COUNT": str(len(config)),
    }
    for number, (key, value) in enumerate(config.items()):
        found[f"GIT_CONFIG_KEY_{number}"] = key
        found[f"GIT_CONFIG_VALUE_{number}"] = value
    return found


class Git:
    """The git program. Its methods block: they are called from threads."""

    def __init__(self, program: str, *, extra_env: Mapping[str, str]) -> None:
        self._program = program
        self._extra_env = extra_env
        self._stop = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def close(self) -> None:
        """Stop what runs and whatever is asked from now on."""
        os.eventfd_write(self._stop, 1)

    def run(
        self,
        *arguments: str | Path,
        url: str | None = None,
        token: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        timeout_seconds: float = 60.0,
    ) -> Answer:
        """Run git to its end, whatever that is.

        :param url: where it may fetch from; nowhere when None.
        :param env: variables beside our own.
        :raises TookTooLong: if it had to be stopped.
        """
        variables = environment(url=url, token=token, extra=self._extra_env) | dict(env or {})
        with _file(stdin) as given, _file() as stdout, _file() as stderr:
            process = subprocess.Popen(
                [self._program, *arguments],
                stdin=given,
                stdout=stdout,
                stderr=stderr,
                env=variables,
                cwd="/",
                process_group=0,
            )
            try:
                is_over = self._wait(process.pid, timeout_seconds)
            finally:
                _end(process)
            words = telemetry.redact(_start(stderr).decode("utf-8", "replace"))
            if not is_over:
                raise TookTooLong(f"git was stopped after {timeout_seconds:g} seconds.", stderr=words)
            return Answer(code=process.returncode, stdout=_start(stdout), stderr=words)

    def check(self) -> None:
        """Look whether it is new enough.

        :raises errors.EngineError: if it is not.
        """
        said = self.ask("version")
        found = re.search(r"(\d+)\.(\d+)", said)
        if found is None or (int(found.group(1)), int(found.group(2))) < _OLDEST:
            raise errors.EngineError(f"{said.strip()} is too old: install git {'.'.join(map(str, _OLDEST))} or newer.")

    def ask(
        self,
        *arguments: str | Path,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        timeout_seconds: float = 60.0,
    ) -> str:
        """Run git on what is here and give its output.

        :raises Failed: if it did not end well.
        """
        answer = self.run(*arguments, env=env, stdin=stdin, timeout_seconds=timeout_seconds)
        if answer.code != 0:
            said = telemetry.one_line(answer.stderr.strip()[:500])
            raise Failed(f"git ended with status {answer.code}: {said}", stderr=answer.stderr)
        return answer.stdout.decode("utf-8", "surrogateescape")

    def _wait(self, pid: int, timeout_seconds: float) -> bool:
        # Popen.wait with a limit sleeps in steps of up to 50 ms.
        fd = os.pidfd_open(pid)
        try:
            poll = select.poll()
            poll.register(fd, select.POLLIN)
            poll.register(self._stop, select.POLLIN)
            ready = [source for source, _ in poll.poll(timeout_seconds * 1000)]
            return fd in ready
        finally:
            os.close(fd)


def _end(process: subprocess.Popen[bytes]) -> None:
    # Until the wait its number cannot be anybody else's. The group, because git's helpers hold the connection.
    if os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _file(data: bytes = b"") -> IO[bytes]:
    file = tempfile.TemporaryFile()  # noqa: SIM115 (the caller closes it)
    file.write(data)
    file.seek(0)
    return file


def _start(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read(_OUTPUT_BYTES)

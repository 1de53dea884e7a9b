"""Podman, with a store of this engine's own: nothing of the machine's other containers is seen, used or deleted.

https://docs.podman.io/en/stable/markdown/podman.1.html
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pwd
import resource
import secrets
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from bot import images, telemetry
from bot.engines.local import sandbox, seccomp
from bot.engines.local.supervisor import container, groups

#: The label of each container, with the id of its job.
LABEL = "buildhook.job"
#: In the name of each service.
SERVICE = "-service-"
#: How long anything but fetching an image may take.
SECONDS = 60.0
_PAUSE_SECONDS = 0.2
#: How long an image is kept that no job uses.
_UNUSED_SECONDS = 14 * 86400.0
#: In the order in which they are tried.
_RUNTIMES = ("crun", "runc")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
#: Of a job's processes, as far as this process may have them itself.
_LIMITS = (("nofile", resource.RLIMIT_NOFILE, 16384), ("nproc", resource.RLIMIT_NPROC, 8192))
_log = telemetry.log("engines")


class PodmanError(Exception):
    """Podman did not do what it was told; the text is its own words."""


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What was found out about Podman here."""

    #: Why no container can be made, and how to mend it; None where one can.
    problem: str | None
    #: Whether what a container writes can be measured: else its image stays as it is.
    has_layers: bool = False


class Podman:
    """Podman as this engine uses it. Its methods block: they are called from threads."""

    def __init__(self, data_dir: Path, *, extra_env: Mapping[str, str], is_ours: bool = True) -> None:
        """:param data_dir: the engine's own folder.
        :param extra_env: for fetching images, such as `https_proxy`.
        :param is_ours: whether nobody else uses it, so that what nobody knows is left over.
        """
        self._folder = data_dir / "podman"
        self._store = self._folder / "store"
        #: What a restart of the machine ends anyway. Podman takes no long path for that.
        self.run_dir = _run_dir(data_dir)
        #: When an image was used last: the time of a file with its id.
        self._used = self._folder / "used"
        #: The system calls that containers are refused.
        self.calls = self._folder / "seccomp.json"
        self._program = shutil.which("podman", path=sandbox.SEARCH_PATH)
        self._env = {
            **extra_env,
            "PATH": sandbox.SEARCH_PATH,
            "HOME": _home(),
            "LC_ALL": "C.UTF-8",
            "CONTAINERS_CONF": str(self._folder / "containers.conf"),
            "TMPDIR": str(self._folder / "tmp"),
            "XDG_RUNTIME_DIR": str(self._session()),
        }
        self._is_ours = is_ours
        self._found: Look | None = None
        self._looking = threading.Lock()

    @property
    def command(self) -> list[str]:
        """The program and what comes before each of its commands."""
        return [self._program or "podman", "--root", str(self._store), "--runroot", str(self.run_dir)]

    @property
    def env(self) -> dict[str, str]:
        """Its environment; nothing of the service's own is in it."""
        return dict(self._env)

    @property
    def is_there(self) -> bool:
        """Whether it was ever used here."""
        return self._program is not None and self._store.is_dir()

    def look(self) -> Look:
        """Whether containers can be made: asked once, and again as long as it is not so."""
        with self._looking:
            if self._found is None or self._found.problem is not None:
                self._found = self._look()
            return self._found

    def run(
        self, *arguments: str, seconds: float = SECONDS, on_start: Callable[[subprocess.Popen[str]], None] | None = None
    ) -> str:
        """What a command prints.

        :param on_start: is given the process, so that somebody else can end it.
        :raises PodmanError: if it fails.
        """
        try:
            with subprocess.Popen(
                [*self.command, *arguments],
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
            ) as started:
                if on_start is not None:
                    on_start(started)
                try:
                    said, told = started.communicate(timeout=seconds)
                except subprocess.TimeoutExpired:
                    started.kill()
                    raise PodmanError(f"it took longer than {seconds:g} seconds") from None
        except OSError as error:
            raise PodmanError(str(error)) from error
        if started.returncode != 0:
            raise PodmanError(told.strip() or f"exit status {started.returncode}")
        return said

    def clear(self, job_id: str) -> None:
        """Take away what is left of a job."""
        if self.is_there:
            self._remove([one for one, job in self._containers() if job == job_id])

    def sweep(self, is_known: Callable[[str], bool]) -> None:
        """Take away what is left of jobs that are not known any more."""
        if self.is_there and self._is_ours:
            self._remove([one for one, job in self._containers() if not is_known(job)])

    def use(self, image_id: str) -> None:
        """Note that an image is used."""
        self._used.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self._used / image_id.removeprefix("sha256:")).touch()

    def sweep_images(self) -> None:
        """Delete the images that no job used for long; those that somebody put here by hand stay."""
        if not self.is_there or not self._is_ours:
            return
        before = time.time() - _UNUSED_SECONDS
        try:
            for one in json.loads(self.run("images", "--all", "--no-trunc", "--format", "json")):
                used = self._used / str(one["Id"]).removeprefix("sha256:")
                names = [str(name) for name in one.get("Names") or ()]
                if not used.exists() or used.stat().st_mtime >= before:
                    continue
                if any(name.startswith(f"{images.HERE}/") for name in names):
                    continue
                # Without force: one that a container has stays.
                with contextlib.suppress(PodmanError):
                    for name in names or [str(one["Id"])]:
                        self.run("rmi", name)
                    used.unlink(missing_ok=True)
        except (PodmanError, ValueError, KeyError) as error:
            _log.warning("Images that nobody uses cannot be deleted.", action="images_kept", error=str(error))

    def _containers(self) -> list[tuple[str, str]]:
        """The name of each container, and the id of its job."""
        try:
            said = self.run("ps", "--all", "--no-trunc", "--filter", f"label={LABEL}", "--format", "json")
            return [(str(one["Names"][0]), str(one["Labels"][LABEL])) for one in json.loads(said)]
        except (PodmanError, ValueError, KeyError, TypeError) as error:
            _log.warning("It cannot be told which containers are left.", action="containers_kept", error=str(error))
            return []

    def _remove(self, names: Sequence[str]) -> None:
        services = [one for one in names if SERVICE in one]
        # A service may be in the network of another one, which goes behind it.
        for group in (services, [one for one in names if one not in services]):
            error = None
            for _ in range(container.REMOVALS if group else 0):
                try:
                    self.run(*container.REMOVE, *group)
                    error = None
                    break
                except PodmanError as failed:
                    # What Podman itself does behind the end of a container can be in the way for a moment.
                    error = failed
                    time.sleep(_PAUSE_SECONDS)
            if error is not None:
                _log.warning("A container cannot be taken away.", action="containers_kept", error=str(error))

    def _look(self) -> Look:
        if self._program is None:
            return Look(problem="podman is not installed: install it (apt-get install podman).")
        runtimes = [one for one in _RUNTIMES if shutil.which(one, path=sandbox.SEARCH_PATH)]
        if not runtimes:
            return Look(problem="podman has no runtime: install one (apt-get install crun, or runc).")
        said = ""
        for runtime in runtimes:
            try:
                self._make(runtime)
                driver = self.run("info", "--format", "{{.Store.GraphDriverName}}").strip()
                self._try(runtime)
            except (PodmanError, OSError) as error:
                said = f"{runtime}: {error}"
                continue
            return Look(problem=None, has_layers=driver == "overlay")
        words = telemetry.one_line(said[:300])
        return Look(problem=f"Podman cannot make containers here ({words}). To mend it: {_advice()}.")

    def _make(self, runtime: str) -> None:
        """The folders and the configuration; the machine's own configuration of containers does not count."""
        for folder in (self._folder, self._store, self.run_dir, self._used, self._folder / "tmp"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.run_dir.stat().st_uid != os.geteuid() or self.run_dir.is_symlink():
            raise PodmanError(f"{self.run_dir} belongs to somebody else: delete it")
        boot, booted = _BOOT_ID.read_text(encoding="ascii").strip(), self._folder / "boot"
        if not booted.exists() or booted.read_text(encoding="ascii") != boot:
            # What is written there is of processes and mounts that a restart of the machine ended.
            shutil.rmtree(self.run_dir, ignore_errors=True)
            self.run_dir.mkdir(mode=0o700)
            booted.write_text(boot, encoding="ascii")
        limits = ", ".join(f'"{one}"' for one in limits_of_processes())
        _write(
            self._folder / "containers.conf",
            f'[containers]\ndefault_ulimits = [{limits}]\nlog_driver = "k8s-file"\nlog_size_max = 1048576\n'
            f'[engine]\nruntime = "{runtime}"\ncgroup_manager = "cgroupfs"\nevents_logger = "none"\n'
            f'tmp_dir = "{self.run_dir / "tmp"}"\n',
        )
        _write(self.calls, json.dumps(seccomp.profile(os.uname().machine)))

    def _try(self, runtime: str) -> None:
        """Make a container of nothing: the runtime says what it lacks before it looks for a program."""
        empty = self._folder / "empty"
        (empty / "proc").mkdir(mode=0o755, parents=True, exist_ok=True)
        name = f"try-{secrets.token_hex(8)}"
        try:
            self.run(
                *("run", "--rm", "--name", name, "--network", "none", "--no-hosts", "--cap-drop", "all"),
                *("--rootfs", str(empty), "/nothing"),
            )
        except PodmanError as error:
            if "/nothing" not in str(error) or "no such file" not in str(error).lower():
                raise PodmanError(f"{runtime}: {error}") from None
        finally:
            with contextlib.suppress(PodmanError):
                self.run("rm", "--force", "--ignore", name)

    def _session(self) -> Path:
        known = Path("/run/user", str(os.geteuid()))
        return known if os.access(known, os.W_OK) else self.run_dir


def _run_dir(data_dir: Path) -> Path:
    tag = hashlib.blake2s(os.fsencode(data_dir.absolute())).hexdigest()[:12]
    user = os.geteuid()
    if user == 0:
        return Path("/run/buildhook", tag)
    session = Path("/run/user", str(user))
    return session / f"buildhook-{tag}" if os.access(session, os.W_OK) else Path(f"/tmp/buildhook-{user}-{tag}")  # noqa: S108


def limits_of_processes() -> list[str]:
    """What containers' processes may have, as Podman takes it: no more than this process itself may."""
    found = ["core=0:0"]
    for name, kind, wanted in _LIMITS:
        hard = resource.getrlimit(kind)[1]
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        found.append(f"{name}={most}:{most}")
    return found


def parent(folders: Mapping[str, str], *, mounts: str) -> tuple[str, dict[str, str]] | None:
    """One path for the control groups of all of a job's containers, and what is where by kind; None without groups.

    Podman takes one path for all kinds, while a process may be elsewhere for each: then it is one at the top.

    :param folders: kind -> folder, as `cgroups` found them.
    :param mounts: `/proc/self/mountinfo`.
    """
    points = {path for path, _ in groups.mounted(mounts)}
    told: dict[str, tuple[str, str]] = {}
    for kind, folder in folders.items():
        point = max((one for one in points if folder.startswith(f"{one}/")), key=len, default=None)
        if point is None:
            return None
        told[kind] = point, folder.removeprefix(point)
    if not told:
        return None
    paths = {path for _, path in told.values()}
    path = paths.pop() if len(paths) == 1 else f"/{os.path.basename(next(iter(folders.values())))}"
    return path, {kind: f"{point}{path}" for kind, (point, _) in told.items()}


def _advice() -> str:
    if os.geteuid() == 0:
        return (
            "install runc (apt-get install runc); in a container, allow it to mount and to write below /sys/fs/cgroup"
        )
    user = _user()
    return (
        f"give the user {user} ids of its own in /etc/subuid and /etc/subgid (usermod --add-subuids 100000-165535 "
        f"--add-subgids 100000-165535 {user}), and install uidmap (apt-get install uidmap)"
    )


def _write(path: Path, text: str) -> None:
    """As a whole: the supervisor of a job may read it in this moment."""
    made = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    made.write_text(text, encoding="utf-8")
    made.rename(path)


def _home() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        return "/nonexistent"


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())

"""Images for tests, made of this machine's own programs, and a registry on loopback that serves them."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from aiohttp import web

_APPLETS = (
    *("cat", "cut", "date", "du", "env", "false", "find", "grep", "head", "id", "ls", "mkdir", "mv", "nc", "od", "ps"),
    *("printf", "readlink", "rm", "sed", "seq", "setsid", "sh", "sleep", "sort", "stat", "tail", "tar", "tee", "test"),
    *("touch", "tr", "true", "tty", "umount", "unshare", "mount", "mknod", "chroot", "dmesg", "wc", "yes", "wget"),
)
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def is_possible() -> bool:
    """Whether this machine has what containers need."""
    return bool(shutil.which("podman") and shutil.which("busybox"))


#: A layer with nothing in it.
EMPTY = bytes(10240)


@dataclass(frozen=True)
class Image:
    """An image: one layer and what its configuration says."""

    layer: bytes
    config: Mapping[str, Any]

    @property
    def blobs(self) -> dict[str, bytes]:
        """All of it by digest, the manifest last."""
        packed = gzip.compress(self.layer, mtime=0)
        config = json.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                "config": dict(self.config),
                "rootfs": {"type": "layers", "diff_ids": [digest(self.layer)]},
            }
        ).encode()
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": {"mediaType": CONFIG, "digest": digest(config), "size": len(config)},
                "layers": [{"mediaType": LAYER, "digest": digest(packed), "size": len(packed)}],
            }
        ).encode()
        return {digest(data): data for data in (packed, config, manifest)}

    @property
    def digest(self) -> str:
        """Of its manifest."""
        return list(self.blobs)[-1]


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@cache
def make(*, has_git: bool = False, files: tuple[tuple[str, str], ...] = (), config: str = "{}") -> Image:
    """An image of a static shell and its tools.

    :param has_git: git and bash of this machine too, with the libraries that they need.
    :param files: path -> content, executable; one of them may stand where git or bash would.
    :param config: what it says beside that, as JSON.
    """
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name in ("bin", "etc", "tmp", "usr/bin", "opt", "var/tmp", "home"):
            _add(tar, name, kind=tarfile.DIRTYPE, mode=0o1777 if name in {"tmp", "opt"} else 0o755)
        _add(tar, "bin/busybox", data=Path(shutil.which("busybox") or "").read_bytes(), mode=0o755)
        _add(tar, "etc/passwd", data=b"root:x:0:0:root:/root:/bin/sh\n")
        for applet in _APPLETS:
            _add(tar, f"bin/{applet}", kind=tarfile.SYMTYPE, target="busybox")
        if has_git:
            for program in ("git", "bash"):
                path = shutil.which(program, path="/usr/bin:/bin")
                assert path is not None
                if f"usr/bin/{program}" not in dict(files):
                    _add(tar, f"usr/bin/{program}", data=Path(path).read_bytes(), mode=0o755)
                for library in _libraries(path):
                    if library not in tar.getnames():
                        _add(tar, library, data=Path("/", library).read_bytes(), mode=0o755)
        for path, text in files:
            _add(tar, path, data=text.encode(), mode=0o755)
    own = {"Env": ["PATH=/opt/own:/usr/bin:/bin", "FROM_IMAGE=yes"], "Cmd": ["sh"], **json.loads(config)}
    return Image(layer=made.getvalue(), config=own)


def _libraries(path: str) -> list[str]:
    said = subprocess.run(["ldd", path], capture_output=True, text=True, check=True).stdout
    return [word.lstrip("/") for line in said.splitlines() for word in line.split() if word.startswith("/")]


def _add(
    tar: tarfile.TarFile,
    name: str,
    *,
    data: bytes = b"",
    mode: int = 0o644,
    kind: bytes = tarfile.REGTYPE,
    target: str = "",
) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.type, info.linkname = len(data), mode, kind, target
    tar.addfile(info, io.BytesIO(data))


@dataclass
class Registry:
    """A registry that is read only, as far as pulls need one."""

    port: int = 0
    #: `name:tag` -> digest of a manifest.
    tags: dict[str, str] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    #: Paths that were asked for.
    asked: list[str] = field(default_factory=list)
    #: What it answers about images instead, as long as there is something here.
    refusals: list[int] = field(default_factory=list)
    #: Where there is one, answers about images wait for it.
    gate: asyncio.Event | None = None
    #: That such an answer waits.
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    def push(self, name: str, image: Image) -> str:
        """Put an image there; gives its whole name."""
        self.blobs |= image.blobs
        self.tags[name] = image.digest
        return f"127.0.0.1:{self.port}/{name}"

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer as the distribution specification says."""
        self.asked.append(request.path)
        path = request.path.removeprefix("/v2/")
        if path and self.gate is not None:
            self.reached.set()
            await self.gate.wait()
        if path and self.refusals:
            status = self.refusals.pop(0)
            code = "UNAUTHORIZED" if status == 401 else "UNAVAILABLE"
            return web.json_response({"errors": [{"code": code, "message": code.lower()}]}, status=status)
        if not path:
            return web.json_response({})
        name, _, wanted = path.rpartition("/")
        name, _, kind = name.rpartition("/")
        found = wanted if wanted.startswith("sha256:") else self.tags.get(f"{name}:{wanted}", "")
        if found not in self.blobs:
            code = "MANIFEST_UNKNOWN" if kind == "manifests" else "BLOB_UNKNOWN"
            return web.json_response({"errors": [{"code": code, "message": "manifest unknown"}]}, status=404)
        headers = {"Docker-Content-Digest": found}
        headers["Content-Type"] = MANIFEST if kind == "manifests" else "application/octet-stream"
        return web.Response(body=self.blobs[found], headers=headers)


@asynccontextmanager
async def registry() -> AsyncIterator[Registry]:
    """A registry on a free port of loopback."""
    made = Registry()
    app = web.Application()
    app.router.add_route("*", "/v2/{tail:.*}", made.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.port = runner.addresses[0][1]
    yield made
    await runner.cleanup()


def put(command: Sequence[str], env: Mapping[str, str], image: Image, name: str) -> None:
    """Put an image into a store.

    :param command: Podman's, as `podman.Podman` has it.
    """
    changes = [f"ENV {one}" for one in image.config["Env"]]
    changes += [
        f"{key.upper()} {json.dumps(image.config[key])}" for key in ("Entrypoint", "Cmd") if key in image.config
    ]
    options = [part for one in changes for part in ("--change", one)]
    said = subprocess.run(
        [*command, "import", "--quiet", *options, "-", name],
        input=image.layer,
        env=dict(env),
        capture_output=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr

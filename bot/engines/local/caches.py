"""Caches on this machine: where they lie, apart by repository, trust and ref, and which are let go.

`<repository id>/<scope>/<version>/<key>`, each name a digest. The version is made of the paths, so that a cache is only
ever unpacked where it was packed. A scope is what `bot.builds.caching` says; nobody writes to a scope but its own jobs.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from bot.engines import contract
from bot.engines.local import sandbox
from bot.engines.local.supervisor import caching
from bot.expressions import syntax, templates
from bot.model import job

#: Of one repository.
MAX_BYTES = 5 << 30
UNUSED = timedelta(days=14)
#: Where the job packs a cache, below its `/tmp`.
PACKED = ".buildhook-cache"

#: Packs what is there of some paths. Its arguments: the file to make, the folder to begin at, the paths.
SAVE = """
out=$1; base=$2; shift 2
cd -- "$base" || exit 1
for path do shift; if [ -e "$path" ]; then set -- "$@" "./$path"; fi; done
rm -rf -- "$out" || exit 1
[ $# -gt 0 ] || exit 0
exec tar -c -f "$out" -- "$@"
"""
#: Unpacks its input. Its argument: the folder to begin at.
RESTORE = """
cd -- "$1" && exec tar -x -f - --no-same-owner
"""


def wanted(request: contract.JobRequest, *, folder: Path, is_sandboxed: bool) -> dict[str, Any] | None:
    """What a supervisor is told: nothing but what `marshal` knows; None where the job has no caches.

    :param folder: of all caches.
    """
    scopes = request.cache_scopes
    if not request.plan.caches or scopes is None:
        return None
    root = folder / str(int(request.source.repository_id))
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    return {
        "root": str(root),
        "read": [digest(scope) for scope in scopes.read],
        "write": digest(scopes.write),
        "entries": [_entry(one, is_sandboxed=is_sandboxed) for one in request.plan.caches],
    }


def _entry(one: job.Cache, *, is_sandboxed: bool) -> dict[str, Any]:
    paths = [_inside(path, is_sandboxed=is_sandboxed) for path in one.paths]
    return {
        "key": _compiled(one.key),
        "restore": [_compiled(text) for text in one.restore_keys],
        "paths": paths,
        "version": digest(*paths),
    }


def _inside(path: str, *, is_sandboxed: bool) -> str:
    """A path of the pipeline file from the folder where packing begins: the sandbox's root, or the job's own folder."""
    is_home = path.startswith("~/")
    home = sandbox.HOME.lstrip("/") if is_sandboxed else "home"
    top = home if is_home else sandbox.WORKSPACE.lstrip("/") if is_sandboxed else "workspace"
    return f"{top}/{path.removeprefix('~/')}"


def _compiled(text: str) -> tuple[Any, ...]:
    return tuple(syntax.parse(part) if is_expression else part for is_expression, _, part in templates.parts(text))


def digest(*parts: str) -> str:
    """One name for several texts, which no other texts share: each is told with its length."""
    told = b"".join(b"%d:%b" % (len(part), part) for part in (text.encode("utf-8", "replace") for text in parts))
    return hashlib.sha256(told).hexdigest()


def sweep(folder: Path, *, keep: Collection[int], now: datetime) -> None:
    """Delete the caches of repositories that are gone, what was of no use for long, and what is too much.

    :raises OSError: if something cannot be deleted.
    """
    if not folder.exists():
        return
    for root in folder.iterdir():
        if not root.name.isdigit() or int(root.name) not in keep:
            shutil.rmtree(root, ignore_errors=True)
            continue
        left = MAX_BYTES
        for used_at, size, path in sorted(_caches(root), reverse=True):
            left -= size
            if left < 0 or used_at < (now - UNUSED).timestamp():
                path.unlink(missing_ok=True)
                path.with_suffix(caching.KEY).unlink(missing_ok=True)


def _caches(root: Path) -> Iterator[tuple[float, int, Path]]:
    for path in root.glob(f"*/*/*{caching.DATA}"):
        try:
            found = os.stat(path, follow_symlinks=False)
        except FileNotFoundError:
            continue
        yield found.st_mtime, found.st_size, path

"""Files and folders of a commit: https://docs.github.com/en/rest/repos/contents."""

from __future__ import annotations

import base64
import posixpath
from typing import Any

from bot.simulator.rest import call

#: A larger file comes without its content, unless it is asked for raw.
LARGEST_INLINE_BYTES = 1_000_000


async def get_contents(this: call.Call) -> call.Answer:
    ref = this.query.get("ref") or this.repository.default_branch
    path = this.parameters.get("path", "").strip("/")
    sha = await this.resolve(ref)
    if sha is None:
        raise call.ApiError(404, f"No commit found for the ref {ref}")
    entry = await _entry(this, sha, path)
    if entry is None:
        raise call.ApiError(404, "Not Found")
    mode, object_sha = entry
    if mode == "40000":
        return call.Answer(body=await _folder(this, ref, f"{sha}:{path}", path))
    if mode == "160000":
        return call.Answer(body=_submodule(this, ref, path, object_sha))
    if mode == "120000":
        return await _link(this, ref, sha, path, object_sha)
    return await _file(this, ref, path, object_sha)


async def _entry(this: call.Call, sha: str, path: str) -> tuple[str, str] | None:
    """Mode and object of a path in a commit."""
    parts = path.split("/") if path else []
    if any(part in ("", ".", "..") for part in parts):
        return None
    its_git = this.world.git_of(this.repository)
    if not parts:
        return "40000", sha
    folder = await its_git.object(f"{sha}:{posixpath.dirname(path)}")
    if folder is None or folder[1] != "tree":
        return None
    return _tree_entries(folder[2]).get(parts[-1].encode("utf-8", "surrogateescape"))


def _tree_entries(content: bytes) -> dict[bytes, tuple[str, str]]:
    """The names in a tree object, each with mode and SHA."""
    entries, position = {}, 0
    while position < len(content):
        space = content.index(b" ", position)
        end = content.index(b"\0", space)
        entries[content[space + 1 : end]] = content[position:space].decode(), content[end + 1 : end + 21].hex()
        position = end + 21
    return entries


async def _file(this: call.Call, ref: str, path: str, sha: str) -> call.Answer:
    found = await this.world.git_of(this.repository).object(sha)
    assert found is not None
    content = found[2]
    if "application/vnd.github.raw" in this.accept or "application/vnd.github.v3.raw" in this.accept:
        return call.Answer(raw=content, media_type="application/vnd.github.raw+json; charset=utf-8")
    is_inline = len(content) <= LARGEST_INLINE_BYTES
    body = this.world.shapes.content(this.repository, path=path, ref=ref, sha=sha, kind="file", size=len(content))
    body["encoding"] = "base64" if is_inline else "none"
    body["content"] = base64.encodebytes(content).decode() if is_inline else ""
    return call.Answer(body=body)


async def _link(this: call.Call, ref: str, commit: str, path: str, sha: str) -> call.Answer:
    """A link to a file of the repository is answered as that file, any other as itself."""
    found = await this.world.git_of(this.repository).object(sha)
    assert found is not None
    target = found[2].decode(errors="replace")
    # A target outside of the repository begins with a slash or dots, and no entry has such a name.
    entry = await _entry(this, commit, posixpath.normpath(posixpath.join(posixpath.dirname(path), target)))
    if entry is not None and entry[0].startswith("100"):
        return await _file(this, ref, path, entry[1])
    body = this.world.shapes.content(this.repository, path=path, ref=ref, sha=sha, kind="symlink", size=len(found[2]))
    return call.Answer(body={**body, "target": target})


def _submodule(this: call.Call, ref: str, path: str, sha: str) -> dict[str, Any]:
    body = this.world.shapes.content(this.repository, path=path, ref=ref, sha=sha, kind="submodule", size=0)
    return {**body, "download_url": None, "submodule_git_url": None}


async def _folder(this: call.Call, ref: str, name: str, path: str) -> list[dict[str, Any]]:
    kinds = {"040000": "dir", "120000": "symlink", "160000": "submodule"}
    return [
        this.world.shapes.content(
            this.repository,
            path=posixpath.join(path, entry_name),
            ref=ref,
            sha=sha,
            kind=kinds.get(mode, "file"),
            size=size,
        )
        for mode, sha, entry_name, size in await this.world.git_of(this.repository).tree(name)
    ]


_TEMPLATE = "/repos/{owner}/{repo}/contents"

ROUTES = (
    call.Route(method="GET", template=_TEMPLATE + "/{path}", handler=get_contents, needs="contents:read"),
    call.Route(
        method="GET",
        template=_TEMPLATE,
        handler=get_contents,
        needs="contents:read",
        judged_as=f"GET {_TEMPLATE}/{{path}}",
    ),
)

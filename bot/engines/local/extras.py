"""What is checked out besides the tested commit's own files: submodules, and files that Git LFS keeps.

Here it is only laid out: folders with numbers for names, and a list that says what goes where. The files are written
inside the sandbox, by `sandbox.PRELUDE`, so a path of the repository's never reaches this machine's own file system.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from bot.engines.local import git, submodules

#: Name of the list, in the folder of the steps' scripts.
LIST = "checkout"
#: What a job's places are called that hold git's objects, and those of LFS.
OBJECTS, LARGE = "objects", "lfs"


class Large(msgspec.Struct, frozen=True, kw_only=True):
    """A file that LFS keeps, to be put in place."""

    #: From the top of the workspace.
    path: str
    oid: str
    #: Number of the submodule that it belongs to, or 0.
    part: int


class Extras(msgspec.Struct, frozen=True, kw_only=True):
    """Everything of one checkout; empty for most."""

    parts: tuple[submodules.Part, ...] = ()
    files: tuple[Large, ...] = ()
    #: Where the LFS objects of a part are, by its number.
    stores: tuple[tuple[int, Path], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.parts or self.files)

    def places(self) -> dict[str, str]:
        """Folders that the job reads, by the names of their places."""
        found = {f"{OBJECTS}-{part.number}": str(part.found.objects) for part in self.parts}
        return found | {f"{LARGE}-{number}": str(folder) for number, folder in self.stores}


def lay_out(metadata: Path, scripts: Path, extras: Extras, *, inside: Callable[[str], str]) -> None:
    """Make git's folders of the submodules, and write the list.

    :param metadata: git's folder of the workspace.
    :param scripts: folder of the steps' scripts.
    :param inside: where the job finds a place, by its name.
    """
    for part in extras.parts:
        folder = metadata / "modules" / str(part.number)
        make(folder, sha=part.commit.sha, url=part.submodule.url, objects=inside(f"{OBJECTS}-{part.number}"))
        above = metadata / "modules" / str(part.parent) if part.parent else metadata
        with (above / "config").open("a", encoding="utf-8", errors="surrogateescape") as file:
            file.write(_section(part.submodule))
    lines: list[str] = []
    for part in extras.parts:
        up = "../" * len(part.path.split("/"))
        lines += ["submodule", f"{part.number} {part.commit.sha} {up}", part.path]
    for one in extras.files:
        lines += ["file", f"{inside(f'{LARGE}-{one.part}')}/{object_name(one.oid)}", one.path]
    for number, prefix, paths in _by_part(extras):
        name = f"{LIST}-{number}"
        text = "".join(f"{path}\0" for path in paths)
        (scripts / name).write_text(text, encoding="utf-8", errors="surrogateescape")
        lines += ["kept", f"{inside('steps')}/{name}", prefix]
    text = "".join(f"{line}\n" for line in lines)
    (scripts / LIST).write_text(text, encoding="utf-8", errors="surrogateescape")


def make(folder: Path, *, sha: str, url: str, objects: str) -> None:
    """Make git's folder of a checkout whose objects are a mirror's, at the commit.

    :param objects: where the mirror's objects are for the job.
    """
    for name in ("objects/info", "objects/pack", "refs/heads", "refs/tags"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "objects/info/alternates").write_text(f"{objects}\n", encoding="utf-8")
    (folder / "HEAD").write_text(f"{sha}\n", encoding="ascii")
    kind = "\tobjectFormat = sha256\n" if len(sha) == 64 else ""
    text = f"[core]\n\trepositoryFormatVersion = {1 if kind else 0}\n\tfileMode = true\n\tbare = false\n"
    text += f"[extensions]\n{kind}" if kind else ""
    text += f'[remote "origin"]\n\turl = {git.check_url(url)}\n'
    (folder / "config").write_text(text, encoding="ascii")


def object_name(oid: str) -> str:
    """Where an object of LFS lies in its store."""
    return f"{oid[:2]}/{oid}"


def _section(one: submodules.Submodule) -> str:
    name = one.name.replace("\\", "\\\\").replace('"', '\\"')
    return f'[submodule "{name}"]\n\tactive = true\n\turl = {one.url}\n'


def _by_part(extras: Extras) -> Iterator[tuple[int, str, list[str]]]:
    """Number, path and LFS files of each part that has some, their paths from its own top."""
    prefixes = {0: ""} | {part.number: part.path for part in extras.parts}
    for number, prefix in prefixes.items():
        paths = [one.path.removeprefix(f"{prefix}/") for one in extras.files if one.part == number]
        if paths:
            yield number, prefix, paths

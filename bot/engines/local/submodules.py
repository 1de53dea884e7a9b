"""Submodules as a commit names them: read as data, and only what leads to another repository of the same GitHub counts.

Git's own command for submodules is never run. What a repository says of its submodules is a path and an address: the
commit is the tree's, and the address is taken apart into an owner and a name, of which our own is made. So no option,
no command, no other host and no other protocol can come out of it, whatever was written.

https://git-scm.com/docs/gitmodules
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from bot import telemetry
from bot.engines import contract
from bot.engines.local import git, mirror, trouble

FILE = ".gitmodules"
#: Of one checkout, those of submodules included, and how deep they may lie in each other.
MAX_NUMBER, MAX_DEPTH = 200, 8
_MAX_FILE_BYTES = 256 * 1024
_MAX_PATH_BYTES = 1024
_OWNER_OR_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}\Z")
#: How people write an address for SSH; the repository that it means is fetched by https all the same.
_SSH = re.compile(r"(?:ssh://)?git@(?P<host>[A-Za-z0-9][A-Za-z0-9.\-]*)[:/](?P<path>[A-Za-z0-9._/\-]+)\Z")
#: What some file system takes for git's own folder.
_GITS_OWN = re.compile(r"(?:\.git|git~[0-9]+)(?:[ .:].*)?\Z", re.DOTALL)
_GITLINK = "160000"


class Submodule(msgspec.Struct, frozen=True, kw_only=True):
    """A submodule of one commit."""

    #: As hostile as a branch's name, but for what `_checked_name` refuses.
    name: str
    #: Below the repository that names it, of plain parts only.
    path: str
    #: Made of our own server's address and the repository's name.
    url: str
    #: The commit that the tree names.
    sha: str


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A submodule that is here, to be checked out."""

    #: 1 and up, in the order in which they are checked out; `parent` is that of the one that names it, or 0.
    number: int
    parent: int
    submodule: Submodule
    #: From the top of the workspace.
    path: str
    found: mirror.Mirror
    commit: mirror.Commit


def read(
    place: mirror.Mirror, *, program: git.Git, tree: str, env: Mapping[str, str], url: str
) -> tuple[Submodule, ...]:
    """The submodules that a tree has and names.

    :param env: where git finds objects that are not in the mirror.
    :param url: of the repository that the tree is of.
    :raises trouble.Ended: if one of them is not one that we fetch.
    """
    whose = f"{FILE} of {full_name(url)}"
    where = (f"--git-dir={place.folder}", "--literal-pathspecs")
    listed = _entries(program.ask(*where, "ls-tree", "-z", "-l", git.check_oid(tree), "--", FILE, env=env))
    if FILE not in listed:
        return ()
    mode, oid, size = listed[FILE]
    if not mode.startswith("100") or int(size) > _MAX_FILE_BYTES:
        raise _refused(f"{whose} is no plain file of at most {_MAX_FILE_BYTES >> 10} KiB.")
    try:
        said = program.ask(*where, "config", "--no-includes", "-z", f"--blob={git.check_oid(oid)}", "--list", env=env)
    except git.Failed as error:
        raise _refused(f"{whose} cannot be read: {telemetry.one_line(error.stderr.strip())[:200]}") from error
    named = parse(said, url=url)
    if not named:
        return ()
    found = _entries(program.ask(*where, "ls-tree", "-z", "-l", tree, "--", *named, env=env))
    # What the file names and the tree does not have is nothing to git either.
    return tuple(
        Submodule(name=name, path=path, url=address, sha=git.check_oid(found[path][1]))
        for path, (name, address) in named.items()
        if path in found and found[path][0] == _GITLINK
    )


def parse(listed: str, *, url: str) -> dict[str, tuple[str, str]]:
    """What git lists of the file: path -> name and address of ours.

    :param listed: `<key>\\n<value>\\0` for each entry.
    :raises trouble.Ended: if it has something that is not fetched.
    """
    values: dict[tuple[str, str], str] = {}
    names: dict[str, None] = {}
    for entry in listed.split("\0"):
        key, _, value = entry.partition("\n")
        section, _, rest = key.partition(".")
        name, _, variable = rest.rpartition(".")
        if section != "submodule" or not name:
            continue
        names[name] = None
        if variable in ("path", "url"):
            if (name, variable) in values:
                raise _refused(f"{FILE} gives the submodule {_shown(name)} its {variable} twice: leave one.")
            values[name, variable] = value
    if len(names) > MAX_NUMBER:
        raise too_many()
    found: dict[str, tuple[str, str]] = {}
    for name in names:
        path = values.get((name, "path"))
        if path is None:
            continue
        _check_name(name)
        _check_path(name, path)
        if path in found:
            raise _refused(f"{FILE} has two submodules at the path {_shown(path)}: leave one.")
        found[path] = (name, address(values.get((name, "url"), ""), name=name, url=url))
    return found


def address(given: str, *, name: str, url: str) -> str:
    """Where a submodule is fetched from: always `<our server>/<owner>/<name>.git`.

    :param given: as the repository writes it.
    :param url: of the repository that names it.
    :raises trouble.Ended: if it means anything else than a repository of the same server.
    """
    server, parts = _taken_apart(url)
    ssh = _SSH.match(given)
    if given.startswith(("./", "../")):
        wanted = _relative([*parts], given)
    elif ssh is not None and ssh["host"].lower() == (urlsplit(server).hostname or "").lower():
        wanted = ssh["path"].strip("/").split("/")
    elif given.lower().startswith(f"{server}/".lower()):
        wanted = given[len(server) + 1 :].rstrip("/").split("/")
    else:
        wanted = []
    if len(wanted) == 2:
        owner, repository = wanted[0], wanted[1].removesuffix(".git")
        if all(_OWNER_OR_NAME.match(part) and part.strip(".") for part in (owner, repository)) and given[:1] != "-":
            return git.check_url(f"{server}/{owner}/{repository}.git")
    raise _refused(
        f"The submodule {_shown(name)} has the address {_shown(given)}, which is not fetched from: it has to be "
        f"relative (../name.git), or {server}/owner/name.git."
    )


def full_name(url: str) -> str:
    """`owner/name` of a repository's URL."""
    return "/".join(_taken_apart(url)[1]).removesuffix(".git")


def phase(one: Submodule) -> str:
    """What is being done while it is fetched."""
    return f"Fetching the submodule {_shown(one.path)} ({full_name(one.url)})"


def explained(one: Submodule, error: trouble.Ended) -> trouble.Ended:
    """Why it could not be had, in words that fit a repository beside the one that is built."""
    if not isinstance(error, trouble.Fetching) or not error.is_out_of_sight:
        return error
    return trouble.Ended(
        f"{full_name(one.url)} is not there, has moved, or may not be read from here: a build reads its own repository "
        "and public ones.",
        log=error.log,
    )


def too_many() -> trouble.Ended:
    """That there are more than anybody checks out."""
    return _refused(f"There are more than {MAX_NUMBER} submodules in the checkout.")


def too_deep(path: str) -> trouble.Ended:
    """That they lie too deep in each other."""
    return _refused(f"Submodules lie more than {MAX_DEPTH} deep in each other, at {_shown(path)}.")


def _taken_apart(url: str) -> tuple[str, list[str]]:
    server, owner, name = url.rstrip("/").rsplit("/", 2)
    return server, [owner, name]


def _relative(parts: list[str], given: str) -> list[str]:
    """What a relative address means, step by step as git takes it."""
    while given.startswith(("./", "../")):
        if given.startswith("../"):
            if not parts:
                return []
            parts.pop()
        given = given.partition("/")[2]
    return [*parts, *given.rstrip("/").split("/")]


def _check_name(name: str) -> None:
    parts = re.split(r"[/\\]", name)
    if not name.isprintable() or len(name) > 255 or name[:1] in "-/" or ".." in parts:
        raise _refused(f"{FILE} names a submodule {_shown(name)}, which is no possible name.")


def _check_path(name: str, path: str) -> None:
    parts = path.split("/")
    is_plain = all(part not in ("", ".", "..") and not _GITS_OWN.match(part.casefold()) for part in parts)
    is_text = not any(one < " " or one in "\x7f\\" for one in path)
    if not is_plain or not is_text or path[0] == "-" or len(path.encode("utf-8", "surrogateescape")) > _MAX_PATH_BYTES:
        raise _refused(f"The submodule {_shown(name)} has the path {_shown(path)}, which is no possible one.")


def _entries(listed: str) -> dict[str, tuple[str, str, str]]:
    """Path -> mode, id and size of each line of `ls-tree -z -l`."""
    found: dict[str, tuple[str, str, str]] = {}
    for line in listed.split("\0"):
        head, _, path = line.partition("\t")
        if path:
            mode, _, oid, size = head.split()
            found[path] = (mode, oid, size)
    return found


def _shown(text: str) -> str:
    return repr(telemetry.redact(text.encode("utf-8", "replace").decode("utf-8"))[:100])


def _refused(reason: str) -> trouble.Ended:
    return trouble.Ended(reason, result=contract.Result.FAILED)

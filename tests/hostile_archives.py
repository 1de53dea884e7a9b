"""Archives that were made to harm whoever unpacks them: tars with what each known attack was made of."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

DATA = b"evil\n"


def corpus(outside: Path, *, below: str = "", entries: int = 2000) -> dict[str, bytes]:
    """The archives, by what they try.

    :param outside: a folder of this host that none of them may change.
    :param below: where what is named plainly goes, a folder with a slash.
    :param entries: how many those have that have very many.
    """

    def tar(members: Sequence[Mapping[str, object]]) -> bytes:
        return packed([{**one, "name": _below(below, str(one["name"]))} for one in members])

    found: dict[str, bytes] = {}
    up = "../" * 40
    there = str(outside)
    names = {
        "absolute": f"{there}/new",
        "absolute with slashes": f"//{there}/new",
        "climbing": f"{up}{there}/new",
        "climbing later": f"a/{up}{there}/new",
        "climbing by dots": f"./.././{up}{there}/new",
        "parent itself": "..",
        "root itself": "/",
        "nothing": "",
        "only dots": "...",
        "drive letter": "C:\\evil",
        "backslashes": "..\\..\\evil",
        "quoted climbing": "..%2f..%2fevil",
        "dots that are others": "\u2024\u2024/evil",
        "full width": "\uff0e\uff0e\uff0fevil",
        "line break": "a\nb",
        "terminal": "\x1b[2J\x1b]0;evil\x07",
        "no utf-8": "\udcff\udcfe",
        "option": "--to-command=touch evil",
        "checkpoint": "--checkpoint-action=exec=sh evil",
        "a hook": ".git/hooks/post-checkout",
        "git's settings": ".git/config",
        "git by another case": ".GIT/config",
        "git by another name": "git~1/config",
        "very long": "x" * 255 + "/" + "y" * 250,
        "longer than any path": "/".join(["d" * 200] * 40),
        "deep": "/".join(["d"] * 500) + "/x",
        "a name of a system file": "../../etc/passwd",
    }
    for what, name in names.items():
        found[f"name: {what}"] = tar([{"name": name}])
    links = {
        "to the root": "/",
        "to a file outside": f"{there}/canary",
        "to a folder outside": there,
        "climbing": f"{up}{there}",
        "to itself": "link",
        "to memory": "/proc/self/mem",
        "to the first process": "/proc/1/root",
    }
    for what, target in links.items():
        for kind, words in ((tarfile.SYMTYPE, "symbolic link"), (tarfile.LNKTYPE, "hard link")):
            link: dict[str, object] = {"name": "link", "type": kind, "linkname": target}
            found[f"{words} {what}, and a file in it"] = tar([link, {"name": "link/new"}, {"name": "link"}])
    folder: dict[str, object] = {"name": "a", "type": tarfile.DIRTYPE}
    dot: dict[str, object] = {"name": "a", "type": tarfile.SYMTYPE, "linkname": there}
    found["a folder that becomes a link"] = tar([folder, dot, {"name": "a/new"}])
    found["a link that becomes a folder"] = tar([dot, folder, {"name": "a/new"}])
    found["a link by another case"] = tar([{**dot, "name": "A"}, folder, {"name": "a/new"}, {"name": "A/new"}])
    chain: list[Mapping[str, object]] = [
        {"name": f"l{n}", "type": tarfile.SYMTYPE, "linkname": f"l{n + 1}"} for n in range(50)
    ]
    found["a chain of links"] = tar(
        [*chain, {"name": "l50", "type": tarfile.SYMTYPE, "linkname": there}, {"name": "l0/new"}]
    )
    long = "d" * 247
    steps: list[Mapping[str, object]] = [{"name": "/".join([long] * n), "type": tarfile.DIRTYPE} for n in range(1, 16)]
    through: dict[str, object] = {"name": "/".join([long] * 15) + "/l", "type": tarfile.SYMTYPE, "linkname": "../" * 15}
    found["a link longer than a path (CVE-2025-4517)"] = tar(
        [
            *steps,
            through,
            {"name": "flag", "type": tarfile.LNKTYPE, "linkname": f"l/../../{there}/canary"},
            {"name": "flag"},
        ]
    )
    for what, kind in (("a device", tarfile.CHRTYPE), ("a disk", tarfile.BLKTYPE), ("a pipe", tarfile.FIFOTYPE)):
        found[what] = tar([{"name": "node", "type": kind, "devmajor": 1, "devminor": 3}, {"name": "node"}])
    found["a program of root's"] = tar([{"name": "su", "mode": 0o6755, "uid": 0, "gid": 0}])
    found["a folder of root's"] = tar([{"name": "d", "type": tarfile.DIRTYPE, "mode": 0o7777}, {"name": "d/x"}])
    found["a folder that nobody may open"] = tar([{"name": "d", "type": tarfile.DIRTYPE, "mode": 0}, {"name": "d/x"}])
    found["owners that are none"] = tar([{"name": "x", "uid": 2**40, "gid": 2**40, "uname": "root", "gname": "root"}])
    found["times that are none"] = tar([{"name": "x", "mtime": 2**50}, {"name": "y", "mtime": -(2**40)}])
    found["headers that say another name"] = tar([{"name": "x", "pax_headers": {"path": f"{up}{there}/new"}}])
    found["headers that say another target"] = tar(
        [{"name": "l", "type": tarfile.SYMTYPE, "linkname": "x", "pax_headers": {"linkpath": there}}, {"name": "l/new"}]
    )
    found["headers that say another size"] = tar([{"name": "x", "pax_headers": {"size": str(2**60)}}])
    sparse = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(1 << 43)}
    found["a file of holes"] = tar([{"name": "x", "pax_headers": {**sparse, "GNU.sparse.name": f"{up}{there}/new"}}])
    found["the same name again and again"] = tar([{"name": "x"}] * 100)
    found["very many"] = tar([{"name": f"m/{number}"} for number in range(entries)])
    plain = tar([{"name": "x"}])
    found["cut off"] = plain[:700]
    found["a wrong checksum"] = plain[:150] + b"9" + plain[151:]
    found["a size that is not there"] = plain[:124] + b"77777777777\0" + plain[136:]
    found["a kind that is none"] = plain[:156] + b"Z" + plain[157:]
    found["a volume of several"] = plain[:156] + b"M" + plain[157:]
    found["nothing at all"] = b""
    found["noise"] = bytes(range(256)) * 64
    found["packed small"] = gzip.compress(bytes(1 << 24))
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr(f"{up}{there}/new", DATA)
    found["a zip"] = zipped.getvalue()
    return found


def _below(folder: str, name: str) -> str:
    return name if name[:1] in ("/", "-", "") or name.startswith((".", "C:")) else folder + name


def packed(members: Sequence[Mapping[str, object]]) -> bytes:
    """A tar of these members: the fields of `tarfile.TarInfo`; a file holds `DATA`."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT, errors="surrogateescape") as archive:
        for fields in members:
            info = tarfile.TarInfo()
            for name, value in fields.items():
                setattr(info, name, value)
            info.size = len(DATA) if info.isreg() else 0
            archive.addfile(info, io.BytesIO(DATA) if info.isreg() else None)
    return made.getvalue()

"""T48: a backup is read member by member, and none of a hostile one is taken, whatever it holds."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from pathlib import Path

import msgspec
import pytest

from bot import errors
from bot.store import archive
from tests import hostile_archives

NOWHERE = Path("/nonexistent/outside")


CORPUS = hostile_archives.corpus(NOWHERE)


@pytest.mark.parametrize("what", CORPUS)
def test_t48_a_hostile_archive_is_no_backup(tmp_path: Path, what: str) -> None:
    file = tmp_path / "backup.tar"
    file.write_bytes(CORPUS[what])
    with pytest.raises(errors.BackupUnusable), archive.reading(file):
        pass
    assert list(tmp_path.iterdir()) == [file]


def _backup(name: str, content: bytes, **said: object) -> bytes:
    """A backup of one member, whose list says what is true of it, but for what is said otherwise."""
    made = gzip.compress(content)
    member = {
        "name": name,
        "size_bytes": len(made),
        "sha256": hashlib.sha256(made).hexdigest(),
        "content_bytes": len(content),
        **said,
    }
    contents = {"format": 1, "buildhook": "0", "schema": "0001", "created_at": "2026-01-01T00:00:00Z"}
    whole = {**contents, "database": "sqlite", "rows": {}, "members": [member]}
    found = io.BytesIO()
    with tarfile.open(fileobj=found, mode="w", format=tarfile.GNU_FORMAT) as file:
        for path, data in ((name, made), (archive.LIST_NAME, msgspec.json.encode(whole))):
            info = tarfile.TarInfo(path)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return found.getvalue()


def _read(tmp_path: Path, data: bytes) -> bytes:
    file = tmp_path / "backup.tar"
    file.write_bytes(data)
    with archive.reading(file) as reader:
        return b"".join(b"".join(reader.chunks(member)) for member in reader.contents.members)


def test_t48_what_the_hostile_ones_are_compared_with_is_read(tmp_path: Path) -> None:
    assert _read(tmp_path, _backup("tables/builds.jsonl.gz", b"{}\n")) == b"{}\n"


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "../tables/builds.jsonl.gz",
        "tables/../../x.jsonl.gz",
        "logs/../../../x.log.gz",
        "logs/01J00000000000000000000001.log.gz/../../x",
        "logs/01j00000000000000000000001.log.gz",
        "tables/builds.jsonl.gz\n",
        "tables/BUILDS.jsonl.gz",
        "TABLES/builds.jsonl.gz",
        "tables\\builds.jsonl.gz",
        "./tables/builds.jsonl.gz",
        "tables//builds.jsonl.gz",
    ],
)
def test_t48_a_name_that_no_backup_has_is_refused_though_all_checksums_are_right(tmp_path: Path, name: str) -> None:
    with pytest.raises(errors.BackupUnusable, match="a member that no backup has"):
        _read(tmp_path, _backup(name, b"{}\n"))


def test_t48_a_member_never_becomes_more_than_its_list_says(tmp_path: Path) -> None:
    """A bomb: 16 MiB out of 16 KiB; what is too much is not even unpacked."""
    file = tmp_path / "backup.tar"
    file.write_bytes(_backup("tables/builds.jsonl.gz", bytes(1 << 24), content_bytes=1000))
    taken: list[bytes] = []
    with archive.reading(file) as reader, pytest.raises(errors.BackupUnusable, match="not as long as its list says"):
        taken.extend(reader.chunks(reader.contents.members[0]))
    assert len(b"".join(taken)) <= 1000

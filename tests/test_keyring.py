"""The keys of a service: of the settings, of the data folder, made once, and refused where they are wrong."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from bot import errors, keyring, sealing, settings

FIRST, SECOND = sealing.new_key(), sealing.new_key()


def load(tmp_path: Path, **given: object) -> settings.Settings:
    return settings.load(data_dir=tmp_path, **given)


def key_id(text: str) -> str:
    return sealing.parse(text).id


def test_without_a_key_one_is_made_for_this_user_alone_and_stays(tmp_path: Path) -> None:
    loaded = load(tmp_path)
    assert keyring.load(loaded).current_id is None
    made = keyring.make(loaded, is_shared=False)
    path = tmp_path / "encryption.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert keyring.make(loaded, is_shared=False).current_id == made.current_id == key_id(path.read_text())
    assert [one.name for one in tmp_path.iterdir()] == ["encryption.key"]


def test_two_that_make_a_key_at_once_have_the_same(tmp_path: Path) -> None:
    loaded, found = load(tmp_path), []
    together = threading.Barrier(8)

    def make() -> None:
        together.wait()
        found.append(keyring.make(loaded, is_shared=False).current_id)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_where_services_share_the_database_a_key_has_to_be_set(tmp_path: Path) -> None:
    with pytest.raises(errors.SettingsError, match=r"BUILDHOOK_ENCRYPTION_KEY: set it to what `openssl"):
        keyring.make(load(tmp_path), is_shared=True)
    assert list(tmp_path.iterdir()) == []
    assert keyring.make(load(tmp_path, encryption_key=FIRST), is_shared=True).current_id == key_id(FIRST)


def test_the_key_of_the_settings_seals_and_the_others_open(tmp_path: Path) -> None:
    written = keyring.make(load(tmp_path), is_shared=False)
    place = sealing.Place(repository_id=1, environment=None, name="A")
    loaded = load(tmp_path, encryption_key=FIRST, encryption_key_previous=SECOND)
    ring = keyring.load(loaded)
    assert ring.current_id == key_id(FIRST)
    assert ring.open(written.seal(b"value", place), place) == b"value"
    assert ring.open(sealing.Ring([sealing.parse(SECOND)]).seal(b"value", place), place) == b"value"


def test_a_broken_key_file_is_said_and_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "encryption.key"
    for content in (b"half a ke", b"\xff", b""):
        path.write_bytes(content)
        with pytest.raises(errors.SettingsError, match=r"encryption\.key (is broken|cannot be read)"):
            keyring.make(load(tmp_path), is_shared=False)
        assert path.read_bytes() == content


def test_a_previous_key_alone_is_refused_because_nothing_would_seal(tmp_path: Path) -> None:
    with pytest.raises(errors.SettingsError, match="set BUILDHOOK_ENCRYPTION_KEY as well"):
        load(tmp_path, encryption_key_previous=FIRST)


@pytest.mark.parametrize("name", ["encryption_key", "encryption_key_previous"])
def test_a_malformed_key_stops_the_start_with_one_line_that_does_not_show_it(tmp_path: Path, name: str) -> None:
    with pytest.raises(errors.SettingsError) as caught:
        load(tmp_path, **{name: "not-a-key-at-all"})
    assert str(caught.value).startswith(f"BUILDHOOK_{name.upper()}: write 32 random bytes as base64")
    assert "not-a-key-at-all" not in str(caught.value)
    assert load(tmp_path, **{name: ""}).encryption_keys == ()


def test_keys_come_from_files_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text(f"{FIRST}\n")
    monkeypatch.setenv("BUILDHOOK_ENCRYPTION_KEY_FILE", str(tmp_path / "key"))
    assert [one.id for one in load(tmp_path).encryption_keys] == [key_id(FIRST)]


def test_t77_a_file_with_the_private_key_that_others_can_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "key.pem"
    path.write_text("key")
    monkeypatch.setenv("BUILDHOOK_PRIVATE_KEY_FILE", str(path))
    monkeypatch.setenv("BUILDHOOK_WEBHOOK_SECRET_FILE", str(tmp_path / "none"))
    for mode in (0o600, 0o400, 0o640):
        path.chmod(mode)
        assert settings.loose_files() == ()
    for mode in (0o644, 0o604):
        path.chmod(mode)
        (told,) = settings.loose_files()
        assert (
            told == f"BUILDHOOK_PRIVATE_KEY_FILE: every user of this machine can read {path}: run `chmod 600 {path}`."
        )


def test_t74_settings_show_no_key(tmp_path: Path) -> None:
    loaded = load(tmp_path, encryption_key=FIRST)
    assert FIRST not in repr(loaded)
    assert FIRST not in repr(loaded.encryption_keys)

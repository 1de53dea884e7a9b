"""`settings.env`: what is written is what is read, others' lines stay, and it is whole or as it was."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import environment, errors
from bot.onboarding import env_file
from bot.settings import load
from bot.simulator import world

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)


#: As the settings read it.
read = environment.read_file


@given(values=st.dictionaries(st.sampled_from(["BUILDHOOK_A", "BUILDHOOK_B"]), TEXT), hostile=TEXT)
def test_what_is_written_is_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, values: dict[str, str], hostile: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "round.env"
    path.unlink(missing_ok=True)
    env_file.write(path, {"BUILDHOOK_A": hostile, "BUILDHOOK_C": "${HOME}"})
    env_file.write(path, values)
    assert read(path) == {"BUILDHOOK_A": hostile, "BUILDHOOK_C": "${HOME}", **values}


@pytest.mark.parametrize(
    "value", ["${HOME}", "a${", "$${X:-y}", '\\"', "'", "a\nb\r\nc", "\\${X}", "# no comment", "\\n"]
)
def test_what_the_reader_would_take_for_something_else_comes_back(tmp_path: Path, value: str) -> None:
    env_file.write(tmp_path / "settings.env", {"BUILDHOOK_A": value})
    assert read(tmp_path / "settings.env") == {"BUILDHOOK_A": value}


def test_a_key_of_many_lines_is_read_back_by_the_settings(tmp_path: Path) -> None:
    key = world.generated_key()
    assert key.count("\n") > 20
    values = {"APP_ID": "7", "PRIVATE_KEY": key, "WEBHOOK_SECRET": 'a"${b}', "CLIENT_ID": "Iv1.x", "CLIENT_SECRET": "c"}
    env_file.write(tmp_path / "settings.env", {f"BUILDHOOK_{name}": value for name, value in values.items()})
    found = load(data_dir=tmp_path)
    assert found.has_credentials
    assert found.private_key is not None
    assert found.private_key.get_secret_value() == key
    assert found.webhook_secrets == (b'a"${b}',)
    assert (found.app_id, found.client_id) == (7, "Iv1.x")


def test_an_empty_line_of_the_environment_does_not_hide_what_the_set_up_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("BUILDHOOK_APP_ID=\nBUILDHOOK_WEBHOOK_SECRET=\nBUILDHOOK_PRIVATE_KEY_FILE=\n")
    monkeypatch.chdir(tmp_path)
    env_file.write(tmp_path / "settings.env", {"BUILDHOOK_APP_ID": "7", "BUILDHOOK_WEBHOOK_SECRET": "s"})
    env_file.write(tmp_path / "settings.env", {"BUILDHOOK_PRIVATE_KEY": "k"})
    assert load(data_dir=tmp_path).app_id == 7


def test_other_lines_stay_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "settings.env"
    path.write_text("# mine\nBUILDHOOK_PORT=1234\nexport BUILDHOOK_APP_ID='1'\n\nnonsense here\nBUILDHOOK_HOST=::1")
    env_file.write(path, {"BUILDHOOK_APP_ID": "2"})
    assert (
        path.read_text() == '# mine\nBUILDHOOK_PORT=1234\n\nnonsense here\nBUILDHOOK_HOST=::1\nBUILDHOOK_APP_ID="2"\n'
    )


def test_it_is_its_owners_alone_even_if_it_was_not_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "settings.env"
    env_file.write(path, {"BUILDHOOK_A": "1"})
    path.chmod(0o644)
    (path.parent / ".settings.env.new").write_text("of a crash")
    env_file.write(path, {"BUILDHOOK_A": "2"})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == ["settings.env"]


def test_what_a_link_leads_to_is_replaced_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "real.env").write_text("")
    (tmp_path / "settings.env").symlink_to("real.env")
    env_file.write(tmp_path / "settings.env", {"BUILDHOOK_A": "1"})
    assert (tmp_path / "settings.env").is_symlink()
    assert 'BUILDHOOK_A="1"' in (tmp_path / "real.env").read_text()


def test_a_file_that_cannot_be_written_stays_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "settings.env"
    env_file.write(path, {"BUILDHOOK_A": "1"})
    before = path.read_bytes()

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(errors.SettingsError, match=r"cannot write .*settings\.env: No space left"):
        env_file.write(path, {"BUILDHOOK_A": "CanarySecret"})
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["settings.env"]


def test_a_folder_in_its_place_is_told(tmp_path: Path) -> None:
    (tmp_path / "settings.env").mkdir()
    with pytest.raises(errors.SettingsError, match="cannot write"):
        env_file.write(tmp_path / "settings.env", {"BUILDHOOK_A": "1"})

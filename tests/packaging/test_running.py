"""What `docs/running.md` and the packaging name is there: settings, commands, files, values, lines of the unit."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer
from ruamel.yaml import YAML

from bot import cli, settings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/running.md").read_text()
PACKAGED = [path for path in (ROOT / "packaging").rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    "path", [ROOT / "docs/running.md", ROOT / ".env.example", *PACKAGED], ids=lambda path: path.name
)
def test_settings_that_are_named_exist(path: Path) -> None:
    known = {field.upper() for field in settings.Settings.__struct_fields__}
    known |= {f"{name}_FILE" for name in settings.SECRETS}
    # What only compose reads.
    known |= {"IMAGE"}
    named = set(re.findall(r"BUILDHOOK_([A-Z][A-Z_]*[A-Z])\b", path.read_text()))
    assert named <= known


def test_commands_that_are_named_exist() -> None:
    program = typer.main.get_command(cli.make())
    spoken = [one or other for one, other in re.findall(r"`([^`\n]+)`|^[$#] (.*)$", PAGE, re.MULTILINE)]
    found = {tuple(words.split()) for text in spoken for words in re.findall(r"\bbuildhook ((?:[a-z]+ ?)+)", text)}
    commands = {words for words in found if words[0] in cli.COMMANDS}
    assert {("serve",), ("version",), ("builds", "list"), ("engines", "test", "local")} <= commands
    for first, *rest in commands:
        command = program.commands[first]  # type: ignore[attr-defined]
        if hasattr(command, "commands"):
            assert rest[0] in command.commands


def test_files_that_are_named_exist() -> None:
    for name in re.findall(r"\b(?:tests/)?packaging/[\w./-]+\w", PAGE):
        assert (ROOT / name).exists(), name
    for name in re.findall(r"`(compose[\w.]*\.yaml)`", PAGE):
        assert (ROOT / "packaging" / name).exists(), name


def test_values_of_the_chart_that_are_named_exist() -> None:
    values = YAML(typ="safe").load((ROOT / "packaging/helm/buildhook/values.yaml").read_text())
    named = re.findall(r"(?:`|--set )((?:\w+\.)+[a-zA-Z]\w*)(?:=|`)", PAGE)
    chosen = [name for name in named if name.partition(".")[0] in values]
    assert len(chosen) >= 6
    for name in chosen:
        first, *rest = name.split(".")
        found = values[first]
        for part in rest:
            assert first == "settings" or part in found, name
            found = found.get(part) if isinstance(found, dict) else None


def test_what_the_page_says_of_the_unit_stands_in_it() -> None:
    unit = (ROOT / "packaging/systemd/buildhook.service").read_text()
    for name in ("KillMode=process", "Delegate=", "DelegateSubgroup=", "LoadCredential=", "WatchdogSec=60s"):
        assert f"\n{name}" in unit

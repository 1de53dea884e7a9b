"""The compose files: what the specification allows, and what the image and the settings really have."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from bot import listener, settings

ROOT = Path(__file__).parents[2]
FILES = [ROOT / "packaging/compose.yaml", ROOT / "packaging/compose.postgresql.yaml"]
each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)


def services(path: Path) -> dict[str, dict[str, Any]]:
    """The services of a file that are ours, by name."""
    parsed = YAML(typ="safe").load(path.read_text())
    return {name: dict(one) for name, one in parsed["services"].items() if "buildhook" in one["image"]}


@each_file
def test_it_is_what_the_published_schema_allows(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", path],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@each_file
def test_secrets_are_settings_that_come_from_files_that_are_there(path: Path) -> None:
    parsed = YAML(typ="safe").load(path.read_text())
    for one in services(path).values():
        given = one["environment"]
        assert set(given) <= {f"{settings.PREFIX}{name}_FILE" for name in settings.SECRETS}
        assert set(given.values()) == {f"/run/secrets/{name}" for name in one["secrets"]}
        assert set(one["secrets"]) <= set(parsed["secrets"])


@each_file
def test_the_service_may_change_its_data_only(path: Path) -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    volumes = set()
    for one in services(path).values():
        assert (one["read_only"], one["cap_drop"]) == (True, ["ALL"])
        assert "no-new-privileges:true" in one["security_opt"]
        (volume,) = one["volumes"]
        name, folder = volume.split(":")
        assert f"BUILDHOOK_DATA_DIR={folder} " in dockerfile
        volumes.add(name)
        assert float(one["stop_grace_period"].rstrip("s")) > listener.GRACE_SECONDS + listener.SHUTDOWN_SECONDS + 10
    # A data folder belongs to one service.
    assert len(volumes) == len(services(path))


@each_file
def test_only_this_machine_reaches_what_is_published(path: Path) -> None:
    parsed = YAML(typ="safe").load(path.read_text())
    published = [port for one in parsed["services"].values() for port in one.get("ports", ())]
    assert published
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for port in published)


def test_the_small_one_is_small() -> None:
    lines = [line for line in FILES[0].read_text().splitlines() if line and not line.lstrip().startswith("#")]
    assert len(lines) <= 30

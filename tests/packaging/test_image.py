"""The Dockerfile: what those who run the image count on. It is linted by `make check`."""

from __future__ import annotations

import json
import re
from pathlib import Path

from bot import settings
from bot.web import access

TEXT = (Path(__file__).parents[2] / "Dockerfile").read_text().rpartition("\nFROM ")[2].replace("\\\n", " ")


def said(word: str) -> list[str]:
    """What stands behind a word of the last stage, each time."""
    return re.findall(rf"^{word} +(.*)$", TEXT, re.MULTILINE)


def test_the_user_has_numbers_and_owns_the_volume() -> None:
    (user,), (volume,) = said("USER"), said("VOLUME")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    owner, group = user.split(":")
    # A new volume takes its owner from the image.
    assert re.search(rf"install --directory --mode=700 --owner={owner} --group={group} {volume}\b", TEXT)
    assert f"BUILDHOOK_DATA_DIR={volume} " in f"{' '.join(said('ENV'))} "


def test_it_is_stopped_and_asked_as_the_service_can_be() -> None:
    assert said("STOPSIGNAL") == ["SIGTERM"]
    assert json.loads(said("ENTRYPOINT")[0]) == ["buildhook"]
    assert json.loads(said("CMD")[0]) == ["serve"]
    (check,) = said("HEALTHCHECK")
    assert f":{settings.Settings().port}/readyz" in check
    assert "GET" in access.PUBLIC["/readyz"]


def test_it_says_what_it_is() -> None:
    names = set(re.findall(r"org\.opencontainers\.image\.(\w+)=", said("LABEL")[0]))
    assert names == {"title", "description", "licenses", "version", "revision", "created", "source"}

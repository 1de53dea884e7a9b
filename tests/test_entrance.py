"""`ACCESS=github` does not start with something missing, and says what."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from bot import entrance, errors, identity, policy, telemetry
from bot.settings import load
from bot.store import Store
from tests import factories

WHOLE = {
    "access": "github",
    "app_id": 1,
    "private_key": "a key",
    "webhook_secret": "a secret",
    "client_id": "Iv23li0123456789",
    "client_secret": "c" * 40,
    "public_url": "https://builds.example.com",
}


async def _made(folder: Path, **given: Any) -> entrance.Entrance:
    store = Store(f"sqlite:///{folder / 'b.db'}")
    return entrance.Entrance(
        load(data_dir=folder, **given),
        store,
        metrics=telemetry.Metrics(),
        rules=policy.Policy,
        new_id=identity.Ids(),
        now=lambda: factories.NOW,
        monotonic=time.monotonic,
    )


async def test_nobody_signs_in_where_only_this_machine_reaches_the_pages(tmp_path: Path) -> None:
    made = await _made(tmp_path)
    assert made.entry is None
    await made.open()
    made.hear([factories.make_verified_delivery(event="member")])
    await made.run()
    await made.close()


async def test_before_the_app_is_set_up_nobody_signs_in_and_only_this_machine_reaches_the_pages(tmp_path: Path) -> None:
    made = await _made(tmp_path, access="github", public_url="https://builds.example.com")
    assert made.entry is None


async def test_with_all_that_is_needed_people_can_sign_in(tmp_path: Path) -> None:
    made = await _made(tmp_path, **WHOLE)
    assert made.entry is not None
    assert made.entry.public_url == WHOLE["public_url"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"client_id": None, "client_secret": None}, "set BUILDHOOK_CLIENT_ID, BUILDHOOK_CLIENT_SECRET as well"),
        ({"public_url": None}, "set BUILDHOOK_PUBLIC_URL as well"),
        ({"public_url": "http://builds.example.com"}, "it is https"),
        ({"public_url": "https://example.com/builds"}, "it has no path"),
    ],
)
async def test_what_is_missing_is_said(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(errors.SettingsError, match=says):
        await _made(tmp_path, **(WHOLE | changes))


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
async def test_plain_http_is_for_this_machine(tmp_path: Path, host: str) -> None:
    assert (await _made(tmp_path, **(WHOLE | {"public_url": f"http://{host}:8080"}))).entry is not None

"""What `buildhook dev` prints, and the channel that it listens to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bot import errors
from bot.cli import dev
from bot.model import delivery
from bot.relay import client
from tests import factories

HOSTILE = "x\x1b]0;y\x07\x1b[2J[red]\u202e"


def test_a_line_for_people_moves_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    view = dev._View(as_json=False)
    view.show(factories.make_delivery(event=HOSTILE, repository=HOSTILE, reason=HOSTILE))
    view.say(HOSTILE)
    view.passed(client.Passed(event=HOSTILE, guid=HOSTILE, status=401, text=HOSTILE))
    shown = capsys.readouterr().out
    assert "\x1b" not in shown.replace("\x1b[2m", "").replace("\x1b[0m", "")
    assert "\x07" not in shown
    assert shown.count("[red]") == 7


def test_what_the_door_took_is_told_by_the_list_alone(capsys: pytest.CaptureFixture[str]) -> None:
    view = dev._View(as_json=True)
    view.passed(client.Passed(event="push", guid="g", status=202, text="{}"))
    view.passed(client.Passed(event="", guid="", status=None, text="What the relay sent is no webhook."))
    view.show(factories.make_delivery(event="check_run", action="created", state=delivery.State.PARKED, error="Why."))
    first, second = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert first == {"said": "Something did not come in: What the relay sent is no webhook."}
    assert (second["event"], second["state"], second["why"]) == ("check_run.created", "parked", "Why.")


def test_the_channel_of_the_last_time_is_kept_for_the_same_relay_only(tmp_path: Path) -> None:
    kept = tmp_path / "relay.url"
    kept.write_text("http://127.0.0.1:9/abc\n")
    assert dev._channel("http://127.0.0.1:9/new", kept=kept) == "http://127.0.0.1:9/abc"
    assert dev._channel("https://smee.example/mine", kept=kept) == "https://smee.example/mine"
    with pytest.raises(errors.SettingsError, match="cannot be asked for a channel"):
        dev._channel("http://127.0.0.1:1/new", kept=kept)
    kept.write_text("nonsense")
    with pytest.raises(errors.SettingsError, match="write the address"):
        dev._channel("http://127.0.0.1:9/new", kept=kept)

"""What the service writes about itself shows no credential, whatever text it came in."""

from __future__ import annotations

import io
import json
import sys

import pytest

from bot import telemetry
from tests.engines.test_mask import CORPUS, PEM


@pytest.mark.parametrize("name", CORPUS)
def test_t73_a_credential_is_in_no_line_of_the_log(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    telemetry.configure_logs(level="info", is_terminal=False)
    log, value = telemetry.log("test"), CORPUS[name]
    log.info(f"It said {value} to us.", action="say", where=[value], facts={"a": value})
    try:
        raise ValueError(value)
    except ValueError:
        log.exception("It failed.", action="fail")
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    assert [one["action"] for one in lines] == ["say", "fail"]
    parts = [value] if value != PEM else PEM.splitlines()[3:5]
    assert not any(part in written.getvalue() or part in json.dumps(lines) for part in parts)
    assert "to us" in written.getvalue()

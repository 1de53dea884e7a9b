"""Durations, ages and sizes read as a person would say them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.model import build
from bot.web import phrases
from tests import factories


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0 s"),
        (0, "0 s"),
        (0.4, "under 1 s"),
        (1, "1 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (72, "1 min 12 s"),
        (3600, "1 h"),
        (3661, "1 h 1 min"),
        (3601, "1 h"),
        (90_000, "1 d 1 h"),
        (86_400 * 400, "400 d"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert phrases.duration(seconds) == text


@pytest.mark.parametrize(
    ("passed", "text"),
    [
        (timedelta(seconds=0), "just now"),
        (timedelta(seconds=4), "just now"),
        (timedelta(seconds=30), "30 s ago"),
        (timedelta(minutes=3, seconds=59), "3 min ago"),
        (timedelta(hours=5), "5 h ago"),
        (timedelta(days=6), "6 d ago"),
        (timedelta(days=40), "2026-01-23"),
        (timedelta(minutes=-2), "in 2 min"),
    ],
)
def test_ages(passed: timedelta, text: str) -> None:
    assert phrases.age(factories.NOW - passed, factories.NOW) == text


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(0, "0 bytes"), (1, "1 byte"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (26 * 1024**2, "26.0 MiB")],
)
def test_sizes(size_bytes: int, text: str) -> None:
    assert phrases.size(size_bytes) == text


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (factories.make_build(), "main"),
        (factories.make_build(ref="refs/heads/feature/x"), "feature/x"),
        (factories.make_build(ref="refs/tags/v1.0"), "tag v1.0"),
        (factories.make_build(ref="refs/notes/x"), "refs/notes/x"),
        (factories.make_pull_build(), "#7 feature → main"),
        (factories.make_pull_build(head_ref=None, base_ref=None), "#7 ? → ?"),
    ],
)
def test_references(made: build.Build, text: str) -> None:
    assert phrases.reference(made) == text


@given(st.floats(min_value=-1e9, max_value=1e10, allow_nan=False))
def test_every_duration_and_age_is_short(seconds: float) -> None:
    assert 0 < len(phrases.duration(seconds)) < 20
    assert len(phrases.age(factories.NOW - timedelta(seconds=min(seconds, 1e9)), factories.NOW)) < 24

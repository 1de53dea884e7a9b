"""What a commit's message asks for: GitHub's words, as strictly as GitHub has them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.pipelines.skipping import why_skipped


@pytest.mark.parametrize("word", ["[skip ci]", "[ci skip]", "[no ci]", "[skip actions]", "[actions skip]"])
def test_each_of_githubs_words_skips_wherever_it_stands(word: str) -> None:
    for message in (word, f"Mend a {word}", f"Mend\n\nAs asked {word}.", f"{word} Mend"):
        assert why_skipped(message) == f"The commit's message holds `{word}`."


@pytest.mark.parametrize(
    "message",
    [
        "",
        "Mend the skip ci words",
        "[skip  ci]",
        "[skipci]",
        "skip-checks: true",
        "Mend\nskip-checks: true",
        "Mend\n\nskip-checks: true",
        "Mend\n\n\nskip-checks: false",
        "Mend\n\n\nskip-checks: true\nmore",
        "Mend\n\n\nskip-checks: true\nSigned-off-by: a",
        "Mend\n\n\nx skip-checks: true",
        "Mend\n\n\nskip-checks: trueish",
    ],
)
def test_t31_nothing_else_skips(message: str) -> None:
    assert why_skipped(message) is None


@pytest.mark.parametrize(
    "message",
    [
        "Mend\n\n\nskip-checks: true",
        "Mend\n\n\nskip-checks:true\n",
        "Mend\n\nBody.\n\n\nskip-checks: true\n\n",
        "Mend\n\n\nSigned-off-by: Mona <m@example.com>\nskip-checks: true",
        "Mend\r\n\r\n\r\nskip-checks: true\r\n",
    ],
)
def test_the_trailer_skips_behind_two_empty_lines(message: str) -> None:
    assert why_skipped(message) == "The commit's message ends with `skip-checks: true`."


def test_who_asks_for_checks_gets_them() -> None:
    assert why_skipped("Mend [skip ci]\n\n\nrequest-checks: true") is None
    assert why_skipped("Mend [skip ci]\n\nrequest-checks: true") is not None


@given(st.text(alphabet="abc:- \n\r[]skiptrue", max_size=200))
def test_every_message_gets_an_answer(message: str) -> None:
    reason = why_skipped(message)
    assert reason is None or reason.isprintable()

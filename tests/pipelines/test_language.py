"""The page that compares our language with Actions: each row is proved, and no word is missing."""

from __future__ import annotations

import io
import re
from pathlib import Path

import jsonschema_rs
import pytest
from ruamel.yaml import YAML

from bot.expressions import names
from bot.pipelines import schema, vocabulary
from bot.pipelines.parse import parse

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "language.md"
FIXTURES = {path.stem for path in (ROOT / "fixtures" / "pipelines").glob("*.yml")}


def rows() -> list[list[str]]:
    """The cells of each row; `\\|` within a cell is a sign of its own."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return [row for row in cells if row[0] not in ("key", "expression")]


@pytest.mark.parametrize("row", rows(), ids=lambda row: re.sub(r"\(http\S+\)|[`\[\]]", "", row[0])[:50])
def test_each_row_is_proved_by_a_pipeline_and_says_where_its_rule_stands(row: list[str]) -> None:
    word, meaning, beside, proof = row
    named = re.findall(r"`([^`]+)`", proof)
    assert meaning
    assert set(named) <= FIXTURES
    if beside.startswith("only here"):
        return
    assert named, f"{word} is proved by nothing"
    addresses = re.findall(r"\]\((\S+?)\)", word)
    assert addresses
    assert all(one.startswith("https://docs.github.com/en/actions/") for one in addresses)


def test_every_pipeline_proves_something() -> None:
    assert {one for row in rows() for one in re.findall(r"`([^`]+)`", row[3])} == FIXTURES


def test_every_word_of_the_vocabulary_has_a_row() -> None:
    told = " ".join(row[0] for row in rows())
    wanted = {f"`{key}`" for key in vocabulary.PIPELINE.known if key not in ("jobs", "defaults", "concurrency")}
    wanted |= {f"`jobs.<id>.{key}`" for key in vocabulary.JOB.known}
    wanted |= {f"`steps[*].{key}`" for key in vocabulary.STEP.known}
    wanted |= {f"`jobs.<id>.strategy.{key}`" for key in vocabulary.STRATEGY.known}
    wanted |= {f"`defaults.run.{key}`" for key in vocabulary.DEFAULTS_RUN.known}
    wanted |= {f"`concurrency.{key}`" for key in vocabulary.CONCURRENCY.known}
    wanted |= {f"`on.{event}.{key}`" for event, kind in vocabulary.EVENTS.items() for key in kind.known}
    wanted |= {f"`{shown}`" for shown, _, _ in names.FUNCTIONS.values()}
    wanted |= {f"`{context}`" for context in names.CONTEXTS}
    assert {one for one in wanted if one not in told} == set()


def test_the_example_of_the_page_is_right() -> None:
    page = (ROOT / "docs" / "pipeline.md").read_text()
    examples = [text for text in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "\njobs:" in text]
    assert examples
    for text in examples:
        assert parse(text).problems == ()
        assert jsonschema_rs.Draft7Validator(schema.make()).is_valid(
            YAML(typ="safe", pure=True).load(io.StringIO(text))
        )


def test_the_page_names_what_each_place_knows() -> None:
    page = (ROOT / "docs" / "pipeline.md").read_text()
    told = dict(re.findall(r"^\| (`env` at the top|`concurrency`|`strategy`|`cache`) \| (.*) \|$", page, re.MULTILINE))
    for shown, place in {
        "`env` at the top": names.TOP_ENV,
        "`concurrency`": names.GROUP,
        "`strategy`": names.MATRIX,
        "`cache`": names.CACHE,
    }.items():
        assert set(re.findall(r"`(\w+)`", told[shown])) - {"hashFiles"} == place.contexts

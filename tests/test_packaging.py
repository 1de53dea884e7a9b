"""The dashboard and the rules for alerts: each expression can be parsed, and names what a running service shows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import promql_parser
import pytest
from ruamel.yaml import YAML

from bot import metrics, telemetry
from tests.acceptance import process

ROOT = Path(__file__).parent.parent
RULES = YAML(typ="safe").load(ROOT / "packaging/prometheus/alerts.yaml")["groups"][0]["rules"]
DASHBOARD = json.loads((ROOT / "packaging/grafana/buildhook.json").read_text())
PANELS = [one for one in DASHBOARD["panels"] if one["type"] != "row"]
#: What Prometheus itself adds.
OF_PROMETHEUS = {"up": {"job", "instance"}}
EXPRESSIONS = [(one["alert"], one["expr"]) for one in RULES]
EXPRESSIONS += [(one["title"], target["expr"]) for one in PANELS for target in one["targets"]]


def selectors(parsed: Any) -> Iterator[tuple[str, set[str]]]:
    """The metrics that an expression names, each with the labels that it is chosen by."""
    if isinstance(parsed, promql_parser.VectorSelector):
        yield str(parsed.name), {matcher.name for matcher in parsed.matchers.matchers}
    for name in ("lhs", "rhs", "expr", "vector_selector", "param"):
        inner = getattr(parsed, name, None)
        if inner is not None:
            yield from selectors(inner)
    for inner in getattr(parsed, "args", None) or ():
        yield from selectors(inner)


def groupings(parsed: Any) -> Iterator[tuple[set[str], set[str]]]:
    """The labels that are summed by, and the metrics below."""
    if isinstance(parsed, promql_parser.AggregateExpr) and parsed.modifier is not None:
        yield set(parsed.modifier.labels), {name for name, _ in selectors(parsed)}
    for name in ("lhs", "rhs", "expr"):
        inner = getattr(parsed, name, None)
        if inner is not None:
            yield from groupings(inner)
    for inner in getattr(parsed, "args", None) or ():
        yield from groupings(inner)


def known() -> Mapping[str, set[str]]:
    """The labels of each name that a query can use."""
    found = dict(OF_PROMETHEUS)
    for one in telemetry.Metrics().about:
        labels = {*one.labels, "instance", "job"}
        names = [f"{one.name}{end}" for end in ("_bucket", "_sum", "_count")] if one.kind == "histogram" else [one.name]
        for name in names:
            found[name] = labels | ({"le"} if name.endswith("_bucket") else set())
    return found


@pytest.mark.parametrize(("where", "expression"), EXPRESSIONS)
def test_an_expression_names_metrics_and_labels_that_there_are(where: str, expression: str) -> None:
    parsed = _parsed(expression)
    names = known()
    used = list(selectors(parsed))
    assert used, where
    for name, labels in used:
        assert name in names, (where, name)
        assert labels <= names[name], where
    for labels, below in groupings(parsed):
        assert all(labels <= names[name] for name in below), (where, labels)


def test_every_name_is_shown_by_a_running_service(shown: str) -> None:
    families = set(re.findall(r"^# TYPE (\S+) ", shown, re.M))
    used = {name for _, text in EXPRESSIONS for name, _ in selectors(_parsed(text))} - OF_PROMETHEUS.keys()
    assert {re.sub("_(bucket|sum|count)$", "", name) for name in used} <= families
    # What shows no increase before its first error is no alert.
    for component, kind in metrics.SYSTEM_ERRORS:
        assert f'buildhook_system_errors_total{{component="{component}",kind="{kind}"}} 0.0' in shown
    assert re.search(r"^buildhook_event_loop_lag_seconds_count [1-9]", shown, re.M)
    assert re.search(r'^buildhook_db_transaction_duration_seconds_count{op="write"} [1-9]', shown, re.M)
    assert re.search(r"^buildhook_disk_free_ratio 0\.[0-9]", shown, re.M)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_each_alert_has_its_part_of_the_runbook(rule: Mapping[str, Any]) -> None:
    assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"]["severity"] in {"critical", "warning"}
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    text = (ROOT / page).read_text()
    (part,) = re.findall(rf'^## .*<a id="{anchor}"></a>\n(.*?)(?=^## |\Z)', text, re.M | re.S)
    assert rule["alert"] in part
    assert rule["annotations"]["description"].endswith(".")


def test_the_runbook_names_no_alert_that_there_is_not() -> None:
    named = set(re.findall(r"Buildhook[A-Z][A-Za-z]+", (ROOT / "docs/runbook.md").read_text()))
    assert named == {rule["alert"] for rule in RULES}


def test_the_dashboard_can_be_imported() -> None:
    assert len({one["id"] for one in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    assert [one["name"] for one in DASHBOARD["templating"]["list"]] == ["datasource"]
    places = [one["gridPos"] for one in DASHBOARD["panels"]]
    assert all(one["x"] + one["w"] <= 24 for one in places)
    for number, one in enumerate(places):
        for other in places[:number]:
            is_beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
            assert is_beside or one["y"] >= other["y"] + other["h"], (one, other)
    assert all(target["datasource"]["uid"] == "${datasource}" for one in PANELS for target in one["targets"])


@pytest.fixture
async def shown(tmp_path: Path) -> str:
    """What a service shows to Prometheus."""
    environment = process.environment(tmp_path / "data")
    async with (
        process.serving(environment, log=tmp_path / "service.log") as service,
        aiohttp.ClientSession() as session,
    ):
        while True:
            async with session.get(f"{service.url}/metrics") as answer:
                text = await answer.text()
            # The first turn of the watchdog.
            if "buildhook_event_loop_lag_seconds_count 0.0" not in text:
                return text


def _parsed(expression: str) -> Any:
    return promql_parser.parse(expression.replace("$__rate_interval", "5m"))

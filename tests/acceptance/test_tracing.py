"""One build is one trace, from its delivery to GitHub's acknowledgement, whatever happens to the service meanwhile."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
from ulid import ULID

from bot.model import trace
from bot.simulator import Simulator
from tests.acceptance import process
from tests.acceptance.conftest import pipeline
from tests.tracing import collector
from tests.tracing.collector import Collector, Span

PIPELINE = """\
name: test
on: [push]
jobs:
  lint:
    steps:
      - name: Look
        run: echo "parent=$TRACEPARENT state=[$TRACESTATE]"
  test:
    needs: lint
    steps:
      - name: First
        run: echo "parent=$TRACEPARENT"
      - name: Second
        run: exit 3
"""


@pytest.fixture
async def taking() -> AsyncIterator[Collector]:
    """A collector."""
    async with collector.collecting() as made:
        yield made


@pytest.fixture
def environment(environment: Mapping[str, str], taking: Collector) -> Mapping[str, str]:
    """The settings of a service that sends traces and metrics."""
    return {
        **environment,
        "OTEL_EXPORTER_OTLP_ENDPOINT": taking.url,
        "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=hello",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
        "OTEL_METRIC_EXPORT_INTERVAL": "500",
    }


def tree(spans: list[Span]) -> dict[str, str]:
    """The name of each span's parent, by name."""
    names = {one.id: one.name for one in spans}
    return {one.name: names.get(one.parent_id, one.parent_id) for one in spans}


async def test_a_build_is_one_trace_with_the_ids_that_its_steps_were_told(
    github: Simulator, service: process.Process, taking: Collector
) -> None:
    files = {".buildhook.yml": PIPELINE}
    repository = await github.create_repository("octo/hello", files=files)
    head = await github.push(repository, "main", {"a.txt": "a"})
    await github.wait_for_check(repository, head, name="buildhook", conclusion="failure")
    await taking.until(lambda: bool(taking.spans))
    (made,) = await service.command("builds", "list")
    ((trace_id, spans),) = taking.traces().items()
    assert trace_id == f"{int(ULID.from_str(made['id'])):032x}"
    named = {one.name: one for one in spans}
    assert tree([one for one in spans if one.name not in {"queue", "checkout", "report check"}]) == {
        "RUN test": "",
        "delivery": "RUN test",
        "plan": "delivery",
        "lint": "RUN test",
        "Look": "lint",
        "test": "RUN test",
        "First": "test",
        "Second": "test",
    }
    root = named["RUN test"]
    assert [one.parent_id for one in spans if one.name in {"queue", "report check"}] == [root.id] * 5
    assert {one.parent_id for one in spans if one.name == "checkout"} == {named["lint"].id, named["test"].id}
    assert (root.kind, root.status) == (2, 2)
    assert (root.attributes["cicd.pipeline.result"], root.attributes["error.type"]) == ("failure", "code_failed")
    assert root.attributes["vcs.repository.url.full"].endswith("/octo/hello")
    assert root.attributes["vcs.ref.head.revision"] == head
    assert root.resource["service.name"] == "buildhook"
    assert root.resource["deployment.environment.name"] == "test"
    assert taking.headers[0]["x-tenant"] == "hello"
    second = named["Second"]
    assert (second.attributes["process.exit.code"], second.attributes["error.type"]) == (3, "exit_status")
    assert named["lint"].attributes["cicd.pipeline.task.run.result"] == "success"
    assert "error.type" not in named["lint"].attributes
    for one in spans:
        assert root.start <= one.start <= one.end <= root.end, one
    reported = [one for one in spans if one.name == "report check"]
    assert {one.attributes["buildhook.check.name"] for one in reported} == {
        "buildhook",
        "buildhook / lint",
        "buildhook / test",
    }
    # What a step's tools are told leads to the step's own span.
    shown = {one["name"]: one["id"] for one in (await service.command("builds", "show", made["id"]))["jobs"]}
    look = (await service.command("logs", shown["lint"]))["log"]
    assert f"parent=00-{trace_id}-{named['Look'].id}-01 state=[]" in look
    assert f"parent=00-{trace_id}-{named['First'].id}-01" in (await service.command("logs", shown["test"]))["log"]
    await taking.until(
        lambda: (
            {
                *("cicd.pipeline.run.duration", "cicd.pipeline.run.errors", "cicd.pipeline.run.active"),
                *("cicd.worker.count", "cicd.system.errors"),
            }
            <= {name for name, points in taking.metrics.items() if points}
        )
    )
    assert {"available", "busy"} == {one["cicd.worker.state"] for one in taking.metrics["cicd.worker.count"]}
    duration = taking.metrics["cicd.pipeline.run.duration"][-1]
    assert duration["cicd.pipeline.name"] == "test"
    assert duration["cicd.pipeline.result"] == "failure"


async def test_every_line_about_a_delivery_says_which_build_and_which_trace(
    github: Simulator, service: process.Process, taking: Collector, tmp_path: Path
) -> None:
    repository = await github.create_repository("octo/hello", files=pipeline("echo ok"))
    # GitHub does not take how it ended the first time, so that this is told as well.
    github.faults.add(method="PATCH", path="check-runs", status=502, html=True, times=1)
    head = await github.push(repository, "main", {"a.txt": "a"})
    await github.wait_for_check(repository, head, conclusion="success")
    await taking.until(lambda: bool(taking.spans))
    (made,) = await service.command("builds", "list")
    lines = [json.loads(line) for line in (tmp_path / "service.log").read_text().splitlines()]
    (handled,) = (one for one in lines if one.get("action") == "handle_delivery" and one["event_name"] == "push")
    of_way = [one for one in lines if one.get("action") in {"finish_job", "send_check"}]
    assert {one["action"] for one in of_way} == {"finish_job", "send_check"}
    for one in [handled, *of_way]:
        facts = (one["delivery_id"], one["build_id"], one["trace_id"])
        assert facts == (handled["delivery_id"], made["id"], taking.spans[0].trace_id), one


@pytest.mark.long
async def test_a_build_that_is_run_again_is_linked_to_what_it_repeats(
    github: Simulator, service: process.Process, taking: Collector
) -> None:
    repository = await github.create_repository("octo/hello", files={".buildhook.yml": PIPELINE})
    head = await github.push(repository, "main", {"a.txt": "a"})
    await github.wait_for_check(repository, head, name="buildhook", conclusion="failure")
    (first,) = await service.command("builds", "list")
    await service.command("builds", "retry", first["id"], "--failed")
    await taking.until(lambda: len({one.trace_id for one in taking.spans}) == 2)
    second = next(one for one in await service.command("builds", "list") if one["id"] != first["id"])
    spans = taking.traces()[f"{trace.trace_id(second['id']):032x}"]
    of_first = f"{trace.trace_id(first['id']):032x}"
    root = next(one for one in spans if not one.parent_id)
    assert root.links == [(of_first, f"{trace.of_build(first['id']):016x}")]
    # The job that was not run again leads to where it ran; its steps are told of there.
    lint = next(one for one in spans if one.name == "lint")
    assert lint.links == [(of_first, next(one.id for one in taking.traces()[of_first] if one.name == "lint"))]
    assert not any(one.name == "Look" for one in spans)


async def test_f3_f5_killed_in_the_middle_it_is_still_one_trace(
    github: Simulator, environment: Mapping[str, str], taking: Collector, tmp_path: Path
) -> None:
    command = "until test -e go; do sleep 0.05; done"
    repository = await github.create_repository("octo/hello", files=pipeline(command))
    log = tmp_path / "service.log"
    async with process.serving(environment, log=log) as service:
        github.webhook_url = service.webhook_url
        head = await github.push(repository, "main", {"a.txt": "a"})
        await github.wait_until(lambda: any(one.status == "in_progress" for one in github.check_runs(repository, head)))
        (made,) = await service.command("builds", "list")
        (job,) = (await service.command("builds", "show", made["id"]))["jobs"]
        await service.kill()
    assert not taking.spans
    # It ends, and is shown by GitHub, before anybody can send anything to the collector.
    taking.status = 503
    (Path(environment["BUILDHOOK_DATA_DIR"]) / "engine/jobs" / job["id"] / "box/workspace/go").touch()
    async with process.serving(environment, log=log) as service:
        github.webhook_url = service.webhook_url
        await github.wait_for_check(repository, head, conclusion="success")
        await taking.until(lambda: taking.offered > 0)
        await service.kill()
    taking.status = 200
    async with process.serving({**environment, "BUILDHOOK_PORT": "0"}, log=log):
        await taking.until(lambda: bool(taking.spans))
    ((trace_id, spans),) = taking.traces().items()
    assert trace_id == f"{trace.trace_id(made['id']):032x}"
    names = sorted(one.name for one in spans)
    assert names == ["RUN test", "Test", "checkout", "delivery", "plan", "queue", "report check", "test"]


async def test_f89_a_collector_that_never_answers_holds_up_neither_builds_nor_the_end(
    github: Simulator, service: process.Process, taking: Collector
) -> None:
    taking.is_hanging = True
    repository = await github.create_repository("octo/hello", files=pipeline("echo ok"))
    for name in "ab":
        head = await github.push(repository, "main", {f"{name}.txt": name})
        await github.wait_for_check(repository, head, conclusion="success")
    await taking.until(lambda: taking.offered > 0)
    assert await service.stop() == 0


@pytest.mark.long
async def test_a_collector_that_is_away_holds_up_no_build_and_is_told_of_once(
    github: Simulator, environment: Mapping[str, str], taking: Collector, tmp_path: Path
) -> None:
    away = {**environment, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_METRICS_EXPORTER": "none"}
    away |= {"OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    log = tmp_path / "service.log"
    repository = await github.create_repository("octo/hello", files=pipeline("echo ok"))
    async with process.serving(away, log=log) as service:
        github.webhook_url = service.webhook_url
        for name in "ab":
            head = await github.push(repository, "main", {f"{name}.txt": name})
            await github.wait_for_check(repository, head, conclusion="success")
        async with asyncio.timeout(20):
            while "takes no traces" not in log.read_text():
                await asyncio.sleep(0.05)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert len([one for one in lines if one.get("level") in {"warning", "error"}]) == 1, log.read_text()

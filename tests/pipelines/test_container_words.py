"""What `options`, `ports` and `volumes` of a container may ask for."""

from __future__ import annotations

import re

import pytest

from bot.pipelines import container_words, expand
from bot.pipelines.container_words import Health, Volume, WordProblem
from bot.pipelines.parse import parse


def test_health_is_read_as_docker_reads_it() -> None:
    options = "--health-cmd 'pg_isready -U me' --health-interval=1m30s --health-timeout 500ms --health-retries 5"
    assert container_words.health(options) == Health(
        command="pg_isready -U me", interval_seconds=90.0, timeout_seconds=0.5, retries=5
    )
    assert container_words.health("--health-start-period 2s").start_seconds == 2.0
    assert container_words.health("") == Health()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--privileged", "`--privileged` cannot be asked for"),
        ("-v /:/host", "`-v` cannot be asked for"),
        ("--network=host", "`--network` cannot be asked for"),
        ("--health-cmd", "needs a value"),
        ("--health-cmd 'a", "quotes of `options` do not match"),
        ("--health-retries 0", "a number from 1 to 1000"),
        ("--health-interval soon", "a length of time"),
        ("--health-interval 5h", "at most an hour"),
    ],
)
def test_any_other_option_is_a_mistake(options: str, says: str) -> None:
    with pytest.raises(WordProblem, match=re.escape(says)):
        container_words.health(options)


@pytest.mark.parametrize(
    ("text", "volume"),
    [
        ("/var/lib/data", Volume(target="/var/lib/data")),
        ("data:/var/lib/data", Volume(target="/var/lib/data", name="data")),
        ("data:/data:ro", Volume(target="/data", name="data", is_read_only=True)),
    ],
)
def test_a_volume_is_a_folder_of_the_jobs_own(text: str, volume: Volume) -> None:
    assert container_words.volume(text) == volume


@pytest.mark.parametrize(
    "text",
    [
        *("/etc:/etc", "/:/host", "./a:/a", "../a:/a", "~/a:/a", "/var/run/docker.sock:/var/run/docker.sock", "a"),
        *("a:/a:rw:z", "a:/a/../b", "/proc", "/", "a:/run/steps", "/workspace/a", "a:/a:ro,exec", "/a//b", "/a\0b"),
    ],
)
def test_t54_no_folder_of_the_machine_is_one(text: str) -> None:
    with pytest.raises(WordProblem):
        container_words.volume(text)


def test_a_port_has_one_number() -> None:
    assert [container_words.port(text) for text in ("80", "80:80", "5353/udp")] == [80, 80, 5353]
    for text in ("8080:80", "127.0.0.1:80:80", "0", "99999", "a"):
        with pytest.raises(WordProblem):
            container_words.port(text)


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("container: {image: a, options: --cpus 1}", "`options` of a job's own container cannot be given"),
        ("container: {image: a, volumes: ['/etc:/etc']}", "a folder of the machine cannot be given"),
        ("services: {db: {image: a, options: --privileged}}", "`--privileged` cannot be asked for"),
        ("services: {db: {image: a, ports: ['8080:80']}}", "Write `80` and use that one"),
    ],
)
def test_mistakes_are_told_at_their_line(written: str, says: str) -> None:
    parsed = parse(f"on: push\njobs:\n  a:\n    {written}\n    steps: [{{run: make}}]\n")
    (problem,) = parsed.problems
    assert (problem.line, says in problem.text) == (4, True), problem


FILE = """\
on: push
env: {TOP: 1}
jobs:
  a:
    strategy: {matrix: {python: ["3.12", "3.13"]}}
    container: {image: "python:${{ matrix.python }}-slim", env: {KEY: "${{ secrets.ONE }}"}}
    services: {db: {image: "${{ matrix.python }}%s", env: {KEY: "${{ secrets.TWO }}"}}}
    steps: [{run: make}]
"""


def test_an_image_may_come_from_the_matrix_and_its_environment_from_secrets() -> None:
    parsed = parse(FILE % "")
    assert parsed.pipeline is not None, parsed.problems
    first, second = expand.expand(parsed.pipeline, {"github": {}, "inputs": {}})
    assert first.container is not None
    assert (first.container.image, second.services["db"].image) == ("python:3.12-slim", "3.13")
    assert first.secret_names == ("ONE", "TWO")


def test_an_image_that_comes_to_no_name_is_told() -> None:
    parsed = parse(FILE % " --privileged")
    assert parsed.pipeline is not None, parsed.problems
    with pytest.raises(expand.ExpansionProblem, match="`image` has to give the name of an image"):
        expand.expand(parsed.pipeline, {"github": {}, "inputs": {}})

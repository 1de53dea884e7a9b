"""The calls: how often GitHub's API is asked for one build, by kind, from the push to the last word on its checks."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks import figures
from tests.acceptance import calls

#: Jobs of the large build.
MANY = 50
BROKEN = "echo src/a.py:3:1: error: broken >&2; exit 1"


async def measure() -> figures.Part:
    """Each kind of build once, beside nothing else: the first of its repository, so that tokens are counted too."""
    cases: list[tuple[str, dict[str, str], calls.Act]] = [
        ("push, 1 job", calls.pipeline("echo ok"), calls.push),
        ("pull request, 1 job", calls.pipeline("echo ok"), calls.pull_request),
        (f"push, {MANY} jobs that end at once", calls.pipeline("echo ok", jobs=MANY), calls.push),
        (f"push, {MANY} jobs that fail with annotations", calls.pipeline(BROKEN, jobs=MANY), calls.push),
        (f"push, {MANY} jobs of 2 s", calls.pipeline("sleep 2", jobs=MANY), calls.push),
    ]
    rows, made = [], []
    for case, files, act in cases:
        with tempfile.TemporaryDirectory() as folder:
            async with calls.stage(Path(folder)) as stage:
                repository = await stage.github.create_repository("octo/hello", private=True, files=files)
                found = await stage.count(act, repository, "topic")
        made.append(found.calls)
        values = {"calls": str(found.calls), "and for tokens": str(found.tokens), "which": found.told()}
        rows.append(figures.Row(subject="buildhook", case=case, values=values))
    push, pull, many, *_ = made
    return figures.Part(
        rows=rows,
        targets=[
            figures.Target(name="calls of a push with one job", value=push, must=3, goal=3),
            figures.Target(name="calls of a pull request with one job", value=pull, must=5, goal=4),
            figures.Target(name=f"calls of {MANY} jobs", value=many, must=12, goal=6),
        ],
    )

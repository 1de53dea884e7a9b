"""What jobs leave behind, on pages: every test case, the history of one test, and the artifacts of a repository."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bot.model import artifact, build, job, report
from bot.store import branches, kept, results
from bot.web.pages import job_tests
from tests import factories
from tests.web import gate as gates
from tests.web.conftest import Client
from tests.web.house import HTML, House
from tests.web.test_pages import shown, words

S = report.State
NAMES = re.compile(r'class="row-title"[^>]*>([^<]+)<')


def path_of(case: report.Case, repository: str = "octo/hello") -> str:
    return f"/repos/{repository}/tests/{results.digest(case).hex()}"


async def ran(house: House, *cases: report.Case, **changes: object) -> job.Job:
    """A job of a build of its own with these test cases."""
    new = await house.add_build(factories.make_build(**changes))
    await house.add_results(new.jobs[0], factories.make_results(*cases))
    return new.jobs[0]


async def test_every_test_case_of_a_job_is_shown_part_by_part_and_by_state(
    house: House, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_tests, "LIMIT", 3)
    monkeypatch.setattr(job_tests.make_context, "__kwdefaults__", {"limit": 3})
    states = [S.PASSED, S.FAILED, S.ERRORED, S.SKIPPED, S.PASSED, S.FAILED, S.PASSED]
    cases = [factories.make_case(name=f"test_{n}", state=state) for n, state in enumerate(states)]
    one = await ran(house, *cases)
    path, found = f"/jobs/{one.id}/tests", []
    while path:
        html = await shown(client, path)
        found += NAMES.findall(html)
        more = re.search(r'href="(\?[^"]+)">More tests', html)
        path = f"/jobs/{one.id}/tests{more.group(1).replace('&amp;', '&')}" if more else ""
    assert [name.rpartition("::")[2] for name in found] == [f"test_{n}" for n in range(7)]
    failed = await shown(client, f"/jobs/{one.id}/tests?state=failed")
    assert [name.rpartition("::")[2] for name in NAMES.findall(failed)] == ["test_1", "test_5"]
    assert "2 failed, 1 errored, 3 passed, 1 skipped" in words(failed)
    assert f'href="{path_of(cases[1])}"' in failed
    assert (await client.get(f"/jobs/{one.id}/tests?state=bogus")).status == 400
    empty = await house.add_job()
    assert "No test case of this job is kept" in await shown(client, f"/jobs/{empty.id}/tests")


async def test_the_history_of_a_test_tells_how_it_ended_on_every_branch(house: House, client: Client) -> None:
    shas = ("a" * 40, "a" * 40, "b" * 40, "c" * 40)
    for number, (sha, state) in enumerate(zip(shas, (S.PASSED, S.FAILED, S.PASSED, S.SKIPPED), strict=True)):
        await ran(
            house, factories.make_case(state=state, message=f"run {number}"), head_sha=sha, title=f"build {number}"
        )
    await ran(house, factories.make_case(name="another"), head_sha="d" * 40)
    text = words(await shown(client, path_of(factories.make_case())))
    assert "It failed in 1 of its last 4 runs; at 1 commit it both passed and failed." in text
    places = [text.index(f"build {number}") for number in range(4)]
    assert places == sorted(places, reverse=True)
    for absent in (factories.make_case(name="never ran"),):
        assert (await client.get(path_of(absent), headers=HTML)).status == 404
    assert (await client.get(path_of(factories.make_case(), "octo/other"), headers=HTML)).status == 404


async def test_a_failed_test_leads_from_its_job_to_its_history(house: House, client: Client) -> None:
    case = factories.make_case(state=S.FAILED)
    one = await ran(house, case)
    await house.save_job(one, state=job.State.FAILED)
    html = await shown(client, f"/jobs/{one.id}")
    assert f'href="{path_of(case)}"' in html
    assert f'href="/jobs/{one.id}/tests"' in html


async def test_the_artifacts_of_a_repository_are_listed_by_build(
    house: House, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(branches, "WINDOW", 2)
    assert "left anything behind" in await shown(client, "/repos/octo/hello/artifacts")
    made = []
    for number in range(5):
        new = await house.add_build(factories.make_build(title=f"build {number}"))
        if number != 2:
            made.append(await house.add_artifact(new.jobs[0], name=f"file {number}"))
    path, found = "/repos/octo/hello/artifacts", []
    while path:
        html = await shown(client, path)
        found += NAMES.findall(html)
        older = re.search(r'href="(\?[^"]+)">Older', html)
        path = f"/repos/octo/hello/artifacts{older.group(1)}" if older else ""
    assert found == [f"file {number}" for number in (4, 3, 1, 0)]
    html = await shown(client, "/repos/octo/hello/artifacts")
    assert "2 artifacts, 4.0 KiB" in words(html)
    assert f'href="/artifacts/{made[-1].id}"' in html


async def test_t91_tests_and_artifacts_of_others_are_like_those_that_are_not_there(tmp_path: Path) -> None:
    async with gates.gate(tmp_path) as gate:
        await gate.sign_in("reader")
        case = factories.make_case()
        for of, name in ((gate.hello, "octo/hello"), (gate.secret, "other/secret")):
            made = factories.make_build(repository_id=of.id, repository=name, state=build.State.QUEUED)
            new = await gate.house.add_build(made)
            await gate.house.store.write(results.insert_cases, new.jobs[0], [case], repository_id=of.id)
            await gate.house.add_artifact(new.jobs[0], name=name.replace("/", "-"))
        own = await gate.ask("GET", path_of(case), login="reader")
        assert own.status == 200
        assert "1 run" in await own.text()
        kept = await (await gate.ask("GET", "/repos/octo/hello/artifacts", login="reader")).text()
        assert "octo-hello" in kept
        assert "other-secret" not in kept
        answers = []
        for name in ("other/secret", "other/nothing"):
            for path in (path_of(case, name), f"/repos/{name}/artifacts"):
                answer = await gate.ask("GET", path, login="reader")
                answers.append((answer.status, (await answer.text()).replace(name, "")))
        assert answers[:2] == answers[2:]
        assert {status for status, _ in answers} == {404}


async def test_t120_the_page_of_a_repository_says_how_much_it_keeps_and_when_that_is_all_it_may(
    house: House, client: Client
) -> None:
    new = await house.add_build(factories.make_build())
    left = factories.make_artifact(job_id=new.jobs[0].id, size_bytes=1536 * 1024**2)

    async def keep(*made: artifact.Artifact) -> str:
        await house.store.write(
            kept.note_left,
            new.jobs[0],
            repository_id=new.build.repository_id,
            report_bytes=1024**2,
            artifacts_made=made,
        )
        return words(await shown(client, "/repos/octo/hello"))

    text = await keep(left)
    assert "keeps 1.5 GiB of 10.0 GiB" in text
    assert "Until there is room" not in text
    text = await keep(*(left for _ in range(7)))
    assert "This repository keeps 10.5 GiB of 10.0 GiB" in text
    assert "10.5 GiB of it are artifacts, 0 bytes logs and 1.0 MiB reports. Lower retention-days" in text

"""Check runs: what is sent, that an answer has to bear our marks, and how a run is found again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest

from bot import errors
from bot.github import Repository
from bot.github.checks import Found
from bot.model import check
from tests.github.conftest import APP_ID, REPOSITORY_ID, SHA, TOKEN_PATH, Reply, Server, granted

RUNS = "/repos/octo/hello/check-runs"
OF_COMMIT = f"/repos/octo/hello/commits/{SHA}/check-runs"

RUN = check.CheckRun(
    name="buildhook / test (3.11, ü)",
    head_sha=SHA,
    external_id="01J0",
    details_url="https://builds.example/jobs/01J0",
    status="completed",
    conclusion="failure",
    started_at=datetime(2026, 5, 4, 14, 0, 0, 999, tzinfo=timezone(timedelta(hours=2))),
    completed_at=datetime(2026, 5, 4, 12, 1, tzinfo=UTC),
    title="1 of 3 steps failed",
    summary="`make test` ended with 2",
    text="log",
    annotations=(
        check.Annotation(
            path="a.py",
            start_line=3,
            end_line=4,
            level=check.Level.FAILURE,
            text="boom",
            title="test_a",
            raw_details="trace",
        ),
        check.Annotation(path="b.py", start_line=1, end_line=1, level=check.Level.NOTICE, text="look"),
    ),
    actions=(check.Action(label="Run anyway", description="Builds this commit.", identifier="run-anyway"),),
)
QUEUED = msgspec.structs.replace(
    RUN,
    status="queued",
    conclusion=None,
    started_at=None,
    completed_at=None,
    text=None,
    annotations=(),
    actions=(),
)


def run(github_id: int = 4, **changes: object) -> dict[str, object]:
    """A check run as GitHub answers."""
    shown = {
        "id": github_id,
        "name": RUN.name,
        "head_sha": SHA,
        "external_id": RUN.external_id,
        "status": "queued",
        "conclusion": None,
        "output": {"title": None, "summary": None, "text": None, "annotations_count": 0, "annotations_url": "x"},
        "app": {"id": APP_ID, "slug": "buildhook"},
    }
    return shown | changes


def found(github_id: int = 4, **changes: object) -> Found:
    """That check run as it is told."""
    told = Found(
        id=github_id,
        name=RUN.name,
        external_id=RUN.external_id,
        status="queued",
        conclusion=None,
        annotations_count=0,
    )
    return msgspec.structs.replace(told, **changes)


async def test_a_check_run_is_made_with_all_that_it_has(repository: Repository, server: Server) -> None:
    server.on("POST", RUNS, Reply(status=201, data=run()))
    assert await repository.put_check_run(RUN) == 4
    assert server.asked("POST", RUNS)[0].body == {
        "name": RUN.name,
        "head_sha": SHA,
        "external_id": "01J0",
        "details_url": "https://builds.example/jobs/01J0",
        "status": "completed",
        "conclusion": "failure",
        "started_at": "2026-05-04T12:00:00Z",
        "completed_at": "2026-05-04T12:01:00Z",
        "output": {
            "title": "1 of 3 steps failed",
            "summary": "`make test` ended with 2",
            "text": "log",
            "annotations": [
                {
                    "path": "a.py",
                    "start_line": 3,
                    "end_line": 4,
                    "annotation_level": "failure",
                    "message": "boom",
                    "title": "test_a",
                    "raw_details": "trace",
                },
                {"path": "b.py", "start_line": 1, "end_line": 1, "annotation_level": "notice", "message": "look"},
            ],
        },
        "actions": [{"label": "Run anyway", "description": "Builds this commit.", "identifier": "run-anyway"}],
    }


async def test_what_is_not_there_is_not_sent(repository: Repository, server: Server) -> None:
    server.on("PATCH", f"{RUNS}/4", Reply(data=run()))
    assert await repository.put_check_run(QUEUED, github_id=4) == 4
    (seen,) = server.asked("PATCH")
    assert seen.body == {
        "name": RUN.name,
        "external_id": "01J0",
        "details_url": "https://builds.example/jobs/01J0",
        "status": "queued",
        "output": {"title": RUN.title, "summary": RUN.summary},
    }


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("github_id", [None, 4])
async def test_f40_a_renamed_repository_gets_the_check_run_all_the_same(
    repository: Repository, server: Server, status: int, github_id: int | None
) -> None:
    method, path = ("POST", "") if github_id is None else ("PATCH", f"/{github_id}")
    moved = f"/repositories/{REPOSITORY_ID}/check-runs{path}"
    server.on(method, RUNS + path, Reply(status=status, headers={"location": server.url + moved}))
    server.on(method, moved, Reply(status=201, data=run()))
    assert await repository.put_check_run(RUN, github_id=github_id) == 4
    first, second = [one for one in server.asked(method) if "check-runs" in one.path]
    assert first.body == second.body


@pytest.mark.parametrize(
    "data",
    [
        run(external_id="other"),
        run(external_id=None),
        run(name="other"),
        run(head_sha="b" * 40),
        {"total_count": 1, "check_runs": [run()]},
        [],
        None,
    ],
)
@pytest.mark.parametrize("github_id", [None, 4])
async def test_f97_an_answer_without_our_marks_is_no_success(
    repository: Repository, server: Server, data: object, github_id: int | None
) -> None:
    server.on("POST", RUNS, Reply(status=200, data=data))
    server.on("PATCH", f"{RUNS}/4", Reply(status=200, data=data))
    with pytest.raises(errors.AnswerLost):
        await repository.put_check_run(RUN, github_id=github_id)


async def test_f97_an_update_that_is_answered_with_another_run_is_no_success(
    repository: Repository, server: Server
) -> None:
    server.on("PATCH", f"{RUNS}/4", Reply(data=run(5)))
    with pytest.raises(errors.AnswerLost):
        await repository.put_check_run(RUN, github_id=4)


async def test_f6_a_run_whose_answer_was_lost_is_found_by_our_marks(repository: Repository, server: Server) -> None:
    server.on("POST", RUNS, Reply(status=502))
    with pytest.raises(errors.AnswerLost):
        await repository.put_check_run(RUN)
    strangers = [
        run(1, external_id="other"),
        run(2, head_sha="b" * 40),
        run(3, app={"id": 1}),
        run(5, name="other"),
        run(6, external_id=None),
    ]
    server.on("GET", OF_COMMIT, Reply(data={"total_count": 6, "check_runs": [*strangers, run(4)]}))
    assert await repository.find_check_run(external_id="01J0", name=RUN.name, head_sha=SHA) == found(4)
    assert server.asked("GET")[0].query == {
        "check_name": RUN.name,
        "app_id": str(APP_ID),
        "filter": "all",
        "per_page": "100",
        "page": "1",
    }
    server.on("GET", OF_COMMIT, Reply(data={"total_count": 5, "check_runs": strangers}))
    assert await repository.find_check_run(external_id="01J0", name=RUN.name, head_sha=SHA) is None


async def test_a_run_is_found_on_a_later_page_and_the_newest_counts(repository: Repository, server: Server) -> None:
    others = [run(number, external_id="other") for number in range(100)]
    server.on(
        "GET",
        OF_COMMIT,
        Reply(data={"check_runs": others}),
        Reply(data={"check_runs": [*others[:98], run(201), run(200)]}),
        Reply(data={"check_runs": []}),
    )
    assert await repository.find_check_run(external_id="01J0", name=RUN.name, head_sha=SHA) == found(201)
    assert [one.query["page"] for one in server.asked("GET")] == ["1", "2", "3"]


async def test_looking_for_a_run_ends(repository: Repository, server: Server) -> None:
    server.on("GET", OF_COMMIT, Reply(data={"check_runs": [run(external_id="other")] * 100}))
    assert await repository.find_check_run(external_id="01J0", name=RUN.name, head_sha=SHA) is None
    assert len(server.asked("GET")) == 10


async def test_f98_a_run_of_another_app_has_its_own_error(repository: Repository, server: Server) -> None:
    message = "Invalid app_id `4711` - check run can only be modified by the GitHub App that created it."
    server.on("PATCH", f"{RUNS}/4", Reply(status=403, data={"message": message}))
    with pytest.raises(errors.ForeignCheckRun):
        await repository.put_check_run(RUN, github_id=4)


async def test_f37_a_write_that_was_refused_for_its_token_is_sent_again(repository: Repository, server: Server) -> None:
    server.on("POST", TOKEN_PATH, granted("ghs_first"), granted("ghs_second"))
    server.on("POST", RUNS, Reply(status=401), Reply(status=201, data=run()))
    assert await repository.put_check_run(RUN) == 4


async def test_f41_what_github_finds_invalid_is_told_in_its_words(repository: Repository, server: Server) -> None:
    body = {"message": "Invalid request.", "errors": ["Only 50 items are allowed; 51 were supplied."]}
    server.on("POST", RUNS, Reply(status=422, data=body))
    with pytest.raises(errors.Invalid, match="Only 50 items are allowed"):
        await repository.put_check_run(RUN)
    assert len(server.asked("POST", RUNS)) == 1


async def test_a_push_costs_three_calls_after_the_token(repository: Repository, server: Server) -> None:
    server.on("GET", "/repos/octo/hello/contents/.buildhook.yml", Reply(raw=b"x", content_type="text/plain"))
    server.on("POST", RUNS, Reply(status=201, data=run()))
    server.on("PATCH", f"{RUNS}/4", Reply(data=run()))
    await repository.get_file(".buildhook.yml", ref=SHA)
    github_id = await repository.put_check_run(QUEUED)
    await repository.put_check_run(RUN, github_id=github_id)
    assert [one.method for one in server.seen if one.path != TOKEN_PATH] == ["GET", "POST", "PATCH"]
    assert len(server.seen) == 4


async def test_what_a_run_says_of_itself_is_told(repository: Repository, server: Server) -> None:
    shown = run(status="completed", conclusion="failure", output={"annotations_count": 51})
    told = found(status="completed", conclusion="failure", annotations_count=51)
    server.on("GET", OF_COMMIT, Reply(data={"check_runs": [shown]}))
    server.on("GET", f"{RUNS}/4", Reply(data=shown))
    assert await repository.find_check_run(external_id="01J0", name=RUN.name, head_sha=SHA) == told
    assert await repository.get_check_run(4) == told


async def test_the_runs_of_a_commit_are_all_of_our_app(repository: Repository, server: Server) -> None:
    first = [run(number) for number in range(100, 200)]
    second = [run(number, name="other", external_id=None) for number in range(199, 230)]
    strangers = [run(1, app={"id": 1}), run(2, head_sha="b" * 40)]
    more = {"link": f'<{server.url}/repositories/1/x?page=1>; rel="prev", <{server.url}/y?page=2>; rel="next"'}
    last = {"link": f'<{server.url}/y?page=1>; rel="prev", <{server.url}/y?page=1>; rel="first"'}
    server.on(
        "GET",
        OF_COMMIT,
        Reply(data={"check_runs": first}, headers=more),
        Reply(data={"check_runs": [*second, *strangers]}, headers=last),
    )
    listed = await repository.list_check_runs(head_sha=SHA)
    assert [one.id for one in listed] == list(range(229, 99, -1))
    assert listed[0] == found(229, name="other", external_id=None)
    assert [one.query for one in server.asked("GET")] == [
        {"app_id": str(APP_ID), "filter": "all", "per_page": "100", "page": page} for page in ("1", "2")
    ]


async def test_a_run_that_is_not_there_is_none(repository: Repository, server: Server) -> None:
    assert await repository.get_check_run(4) is None
    server.on("GET", f"{RUNS}/4", Reply(status=410, data={"message": "Gone"}))
    with pytest.raises(errors.NotReachable):
        await repository.get_check_run(4)


async def test_f39_a_run_in_a_repository_that_was_taken_away_is_not_missing(
    repository: Repository, server: Server
) -> None:
    server.on("POST", TOKEN_PATH, Reply(status=404, data={"message": "Not Found"}))
    with pytest.raises(errors.NotReachable):
        await repository.get_check_run(4)


@pytest.mark.parametrize("data", [[], None, {}, run(output=None), run(status=None), run(5)])
async def test_a_question_that_is_answered_with_no_check_run_has_no_answer(
    repository: Repository, server: Server, data: object
) -> None:
    server.on("GET", f"{RUNS}/4", Reply(data=data))
    with pytest.raises(errors.GitHubUnavailable):
        await repository.get_check_run(4)


@pytest.mark.parametrize("data", [[], None, {}, {"check_runs": [{}]}, {"check_runs": [run(output={})]}])
async def test_a_list_of_another_shape_is_no_empty_list(repository: Repository, server: Server, data: object) -> None:
    server.on("GET", OF_COMMIT, Reply(data=data))
    with pytest.raises(errors.GitHubUnavailable):
        await repository.list_check_runs(head_sha=SHA)
    with pytest.raises(errors.GitHubUnavailable):
        await repository.find_check_run(external_id="01J0", name=RUN.name, head_sha=SHA)

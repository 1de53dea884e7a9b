"""The pages: what they show, that they show it safely, and that their buttons work for their own forms only."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.simulator import CheckRun, PullRequest, Repository, Simulator, origin
from bot.simulator.pages import render
from tests.simulator.conftest import Client, Receiver, Reply

EVIL = "<script>alert(1)</script>"
FOLDED = "<details><summary>More</summary>\n\nx\n\n</details>"
ACTION = {"label": "Re-run failed", "description": "Runs what failed", "identifier": "rerun_failed"}


async def show(client: Client, path: str) -> str:
    answer = await client("GET", path, root=client.github.url, token="")
    assert answer.status == 200, path
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    text = answer.content.decode()
    assert "Simulator of GitHub" in text
    assert "<script>" not in text
    assert "style=" not in text
    return text


async def press(client: Client, path: str, form: str = "", **headers: str) -> Reply:
    sent = {"Origin": client.github.url, "Content-Type": "application/x-www-form-urlencoded", **headers}
    return await client("POST", path, form.encode(), root=client.github.url, token="", headers=sent)


@pytest.fixture
async def pull(github: Simulator, repository: Repository) -> PullRequest:
    await github.push(repository, "topic", {"a.txt": f"{EVIL}\n", "b c.txt": "x\n"}, f"Add a {EVIL}", author="hubot")
    return await github.open_pull_request(repository, "topic", title=f"Add {EVIL}", body=f"{EVIL}\n\n[x](javascript:x)")


@pytest.fixture
async def run(github: Simulator, pull: PullRequest) -> CheckRun:
    commit = await github.git_of(pull.repository).commit(pull.head_sha)
    annotation = {"path": "a.txt", "start_line": 1, "end_line": 1, "annotation_level": "failure", "message": EVIL}
    body = {
        "name": "buildhook",
        "conclusion": "failure",
        "details_url": "javascript:alert(1)",
        "actions": [ACTION],
        "output": {
            "title": f"Failed {EVIL}",
            "summary": f"**bold** {EVIL}\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n{FOLDED}",
            "text": "![i](http://evil.example/x.png)",
            "annotations": [annotation],
        },
    }
    return github.create_check_run(pull.repository, commit, body, app=github.app)


async def test_every_page_shows_what_is_there_safely(
    client: Client, repository: Repository, pull: PullRequest, run: CheckRun
) -> None:
    github = client.github
    github.comment(pull, f"/test {EVIL}")
    github.create_status(repository, pull.head_sha, {"state": "pending", "context": EVIL}, creator=github.user("hubot"))
    home = await show(client, "/")
    assert "octo/hello" in home
    assert "1 open pull request" in home
    assert "git clone" in await show(client, "/octo/hello")
    page = await show(client, "/octo/hello/pull/1")
    assert "Some checks were not successful" in page
    assert f"/octo/hello/runs/{run.id}" in page
    assert "Re-run failed" in page
    assert "javascript:" not in page.replace("[x](javascript:x)", "")
    shown = await show(client, f"/octo/hello/runs/{run.id}")
    assert "<strong>bold</strong>" in shown
    assert "<table>" in shown
    assert "<details><summary>More</summary>" in shown
    assert f'href="/octo/hello/blob/{pull.head_sha}/a.txt#L1"' in shown
    assert 'href="javascript' not in shown
    assert "Some checks were not successful" in await show(client, f"/octo/hello/commit/{pull.head_sha}")
    first = (await github.git_of(repository).commit(pull.head_sha)).parents[0]
    assert "No checks yet" in await show(client, f"/octo/hello/commit/{first}")
    assert "&lt;script&gt;" in await show(client, f"/octo/hello/blob/{pull.head_sha}/a.txt")
    assert "x" in await show(client, f"/octo/hello/blob/{pull.head_sha}/b%20c.txt")
    await github.hooks.settle()
    assert "pull_request.opened" in await show(client, "/_deliveries")
    delivery = next(one for one in github.deliveries if one.event == "pull_request")
    page = await show(client, f"/_deliveries/{delivery.id}")
    assert delivery.guid in page
    assert "X-Hub-Signature-256" in page
    assert "Redeliver" in page


@pytest.mark.parametrize(
    ("conclusions", "headline"),
    [
        (["success", "skipped", "neutral"], "All checks have passed"),
        (["success", "failure", ""], "Some checks were not successful"),
        (["success", ""], "Some checks haven’t completed yet"),
        (["success", "action_required"], "Some checks wait for somebody"),
        (["success", "cancelled"], "Some checks were cancelled"),
        ([], "No checks yet"),
    ],
)
async def test_the_box_sums_the_checks_up(
    client: Client, repository: Repository, conclusions: list[str], headline: str
) -> None:
    sha = repository.heads["main"]
    commit = await client.github.git_of(repository).commit(sha)
    for number, conclusion in enumerate(conclusions):
        body = {"name": f"job {number}", **({"conclusion": conclusion} if conclusion else {})}
        client.github.create_check_run(repository, commit, body, app=client.github.app)
    assert headline in await show(client, f"/octo/hello/commit/{sha}")


async def test_the_box_looks_again_until_nothing_more_is_to_come(client: Client, repository: Repository) -> None:
    github, sha = client.github, repository.heads["main"]
    commit = await github.git_of(repository).commit(sha)
    path = f"/octo/hello/commit/{sha}"
    assert "data-live" in await show(client, path)
    github.create_check_run(repository, commit, {"name": "bad", "conclusion": "failure"}, app=github.app)
    slow = github.create_check_run(repository, commit, {"name": "slow", "status": "in_progress"}, app=github.app)
    page = await show(client, path)
    assert "Some checks were not successful" in page
    assert "data-live" in page
    run_page = await show(client, f"/octo/hello/runs/{slow.id}")
    assert run_page.index("data-live") < run_page.index("<h1>"), "the heading says the state, so it is looked at again"
    github.update_check_run(slow, {"conclusion": "success"})
    assert "data-live" not in await show(client, path)
    assert "data-live" not in await show(client, f"/octo/hello/runs/{slow.id}")
    github.rerequest_check_run(repository, slow.id)
    assert "data-live" in await show(client, path)


async def test_the_box_looks_again_for_what_others_report(client: Client, repository: Repository) -> None:
    github, sha = client.github, repository.heads["main"]
    path = f"/octo/hello/commit/{sha}"
    await github.create_foreign_check_run(repository, sha, "theirs", conclusion="failure")
    assert "data-live" not in await show(client, path)
    hubot = github.user("hubot")
    github.create_status(repository, sha, {"state": "pending", "context": "slow"}, creator=hubot)
    assert "data-live" in await show(client, path)
    github.create_status(repository, sha, {"state": "success", "context": "slow"}, creator=hubot)
    assert "data-live" not in await show(client, path)


async def test_the_states_of_pull_requests_show(client: Client, repository: Repository) -> None:
    github = client.github
    for name in ("merged", "closed", "draft"):
        await github.push(repository, name, {f"{name}.txt": "x"})
    await github.merge(await github.open_pull_request(repository, "merged", title="One"))
    await github.close(await github.open_pull_request(repository, "closed"))
    await github.open_pull_request(repository, "draft", draft=True)
    for number, word in ((1, "Merged"), (2, "Closed"), (3, "Draft")):
        assert f">{word}<" in await show(client, f"/octo/hello/pull/{number}")


async def test_buttons_work(
    client: Client, repository: Repository, pull: PullRequest, run: CheckRun, receiver: Receiver
) -> None:
    back = "back=/octo/hello/pull/1"
    for path, form in (
        (f"/octo/hello/runs/{run.id}/rerequest", back),
        (f"/octo/hello/runs/{run.id}/actions", f"{back}&identifier=rerun_failed"),
        (f"/octo/hello/suites/{run.suite.id}/rerequest", back),
        ("/octo/hello/pull/1/comment", f"{back}&body=%2Ftest"),
        ("/octo/hello/pull/1/comment", f"{back}&body="),
        ("/octo/hello/pull/1/close", back),
        ("/octo/hello/pull/1/reopen", back),
        ("/octo/hello/pull/1/merge", back),
    ):
        answer = await press(client, path, form)
        assert (answer.status, answer.headers["Location"]) == (303, "/octo/hello/pull/1"), path
    await client.github.hooks.settle()
    told = receiver.events()
    for name in (
        "check_run.rerequested",
        "check_run.requested_action",
        "check_suite.rerequested",
        "issue_comment.created",
        "pull_request.reopened",
    ):
        assert told.count(name) == 1, name
    assert pull.merged_at is not None
    count = len(client.github.deliveries)
    answer = await press(client, f"/_deliveries/{client.github.deliveries[0].id}/redeliver")
    assert answer.headers["Location"] == f"/_deliveries/{client.github.deliveries[-1].id}"
    assert len(client.github.deliveries) == count + 1


async def test_buttons_are_pressed_by_whom_the_form_names(
    client: Client, pull: PullRequest, run: CheckRun, receiver: Receiver
) -> None:
    github, back = client.github, "back=/octo/hello/pull/1&sender=hubot"
    for path, form in (
        (f"/octo/hello/runs/{run.id}/rerequest", back),
        (f"/octo/hello/runs/{run.id}/actions", f"{back}&identifier=rerun_failed"),
        (f"/octo/hello/suites/{run.suite.id}/rerequest", back),
        ("/octo/hello/pull/1/comment", f"{back}&body=%2Ftest"),
        ("/octo/hello/pull/1/draft", back),
        ("/octo/hello/pull/1/ready", back),
    ):
        assert (await press(client, path, form)).status == 303, path
    await github.hooks.settle()
    for name in (
        "check_run.rerequested",
        "check_run.requested_action",
        "check_suite.rerequested",
        "issue_comment.created",
        "pull_request.converted_to_draft",
        "pull_request.ready_for_review",
    ):
        assert receiver.payload(name)["sender"]["login"] == "hubot", name
    pressed = receiver.payload("check_run.requested_action")
    assert pressed["requested_action"] == {"identifier": "rerun_failed"}
    assert (pressed["check_run"]["id"], pressed["check_run"]["check_suite"]["id"]) == (run.id, run.suite.id)
    assert pressed["check_run"]["pull_requests"][0]["number"] == 1
    assert receiver.payload("issue_comment.created")["comment"]["user"]["login"] == "hubot"
    assert (await press(client, "/octo/hello/pull/1/comment", "sender=a+b&body=x")).status == 409


async def test_a_browser_acts_as_whom_it_has_chosen(client: Client, pull: PullRequest, receiver: Receiver) -> None:
    page = await show(client, "/octo/hello/pull/1")
    assert 'name="sender" list="people" value="mona"' in page
    assert "Add a comment as mona" in page
    chosen = await press(client, "/_person", "back=/octo/hello/pull/1&sender=stranger")
    assert (chosen.status, chosen.headers["Location"]) == (303, "/octo/hello/pull/1")
    cookie = chosen.headers["Set-Cookie"]
    assert cookie.startswith("simulator_person=stranger;")
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    kept = {"Cookie": "simulator_person=stranger"}
    page = (await client("GET", "/octo/hello/pull/1", root=client.github.url, token="", headers=kept)).content.decode()
    assert "Add a comment as stranger" in page
    assert '<option value="stranger">' in page
    await press(client, "/octo/hello/pull/1/comment", "back=/octo/hello/pull/1&body=Hello", **kept)
    await client.github.hooks.settle()
    assert receiver.payload("issue_comment.created")["sender"]["login"] == "stranger"
    for wrong in ("", "//evil.example", "https://evil.example", "/a%0d%0ab", "/\\evil.example"):
        answer = await press(client, "/_person", f"back={wrong}&sender=mona")
        assert answer.headers["Location"] == "/", wrong
    assert (await press(client, "/_person", "sender=mona", Origin="https://evil.example")).status == 403


async def test_a_forged_choice_is_nobodys(client: Client, pull: PullRequest) -> None:
    headers = {"Cookie": 'simulator_person="<script>"'}
    answer = await client("GET", "/octo/hello/pull/1", root=client.github.url, token="", headers=headers)
    assert b"Add a comment as mona" in answer.content


async def test_the_merge_box_says_what_is_in_the_way(
    client: Client, repository: Repository, pull: PullRequest, run: CheckRun
) -> None:
    github = client.github
    github.enable_merge_queue(repository, "main", ["buildhook"])
    page = await show(client, "/octo/hello/pull/1")
    assert "Merging is blocked" in page
    assert "buildhook is failing" in page
    assert (await press(client, "/octo/hello/pull/1/enqueue")).status == 409
    github.update_check_run(run, {"conclusion": "success"})
    assert "Merge when ready" in await show(client, "/octo/hello/pull/1")
    assert (await press(client, "/octo/hello/pull/1/enqueue")).status == 303
    (group,) = github.merge_groups(repository)
    page = await show(client, "/octo/hello/pull/1")
    assert "In the merge queue" in page
    assert f'href="/octo/hello/commit/{group.head_sha}"' in page
    assert (await press(client, "/octo/hello/pull/1/dequeue")).status == 303
    assert github.merge_groups(repository) == []


async def test_a_button_that_cannot_work_says_why(client: Client, pull: PullRequest, run: CheckRun) -> None:
    for path, status in (
        ("/octo/hello/pull/1/reopen", 409),
        (f"/octo/hello/runs/{run.id}/actions", 409),
        ("/octo/hello/pull/9/merge", 404),
        ("/octo/hello/pull/1/nonsense", 404),
        ("/_deliveries/1/redeliver", 409),
    ):
        assert (await press(client, path)).status == status, path


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Host": "evil.example", "Origin": "http://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
async def test_no_other_site_can_press_a_button(client: Client, pull: PullRequest, headers: dict[str, str]) -> None:
    assert (await press(client, "/octo/hello/pull/1/merge", **headers)).status == 403
    assert pull.merged_at is None


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("multipart/form-data", b"body=x"),
        ("multipart/form-data; boundary=a", b"--b\r\n\r\nx"),
        ("multipart/form-data; boundary=a", b"--a\r\nx\r\n"),
        ("application/x-www-form-urlencoded; charset=nope", b"body=x"),
    ],
)
async def test_a_broken_form_is_told_and_does_nothing(
    client: Client, pull: PullRequest, kind: str, content: bytes
) -> None:
    headers = {"Origin": client.github.url, "Content-Type": kind}
    answer = await client(
        "POST", "/octo/hello/pull/1/close", content, root=client.github.url, token="", headers=headers
    )
    assert (answer.status, pull.state) == (400, "open")


async def test_a_button_leads_back_to_its_own_repository_only(client: Client, pull: PullRequest) -> None:
    for back in (
        "https://evil.example",
        "//evil.example",
        "/octo/hello-evil",
        "/octo/other/pull/1",
        "javascript:x",
        "/octo/hello/pull/1%0d%0aSet-Cookie:+x=y",
        "/octo/hello/pull/1%0a",
        "/octo/hello/pull/%00",
        "/octo/hello/../other/pull/1",
        "/octo/hello/pull/%ff",
    ):
        answer = await press(client, "/octo/hello/pull/1/comment", f"back={back}&body=x")
        assert answer.headers["Location"] == "/octo/hello"


async def test_another_name_for_this_machine_sees_nothing(client: Client, repository: Repository) -> None:
    answer = await client("GET", "/octo/hello", root=client.github.url, token="", headers={"Host": "evil.example"})
    assert (answer.status, b"README" in answer.content) == (403, False)


@pytest.mark.parametrize(
    "path",
    [
        "/nope",
        "/_nope",
        "/octo/hello/no/such/page",
        "/octo/hello/a%0ab",
        f"/_deliveries/{'9' * 5000}",
        f"/_avatars/{'9' * 5000}.svg",
        f"/octo/hello/pull/{'9' * 5000}",
        f"/octo/hello/runs/{'9' * 5000}",
        "/octo/nope",
        "/octo/hello/pull/9",
        "/octo/hello/runs/9",
        "/_deliveries/9",
        f"/octo/hello/commit/{'a' * 40}",
    ],
)
async def test_what_is_not_there_is_said(client: Client, repository: Repository, path: str) -> None:
    answer = await client("GET", path, root=client.github.url, token="")
    assert (answer.status, b"There is nothing here" in answer.content) == (404, True)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_style_script_and_pictures_are_our_own(client: Client, repository: Repository) -> None:
    for path, kind in (
        ("/_static/simulator.css", "text/css"),
        ("/_static/simulator.js", "text/javascript"),
        ("/_static/icon.svg", "image/svg+xml"),
        (f"/_avatars/{repository.owner.id}.svg", "image/svg+xml"),
        ("/_avatars/1.svg", "image/svg+xml"),
    ):
        answer = await client("GET", path, root=client.github.url, token="")
        assert (answer.status, answer.headers["Content-Type"].startswith(kind)) == (200, True)
    assert (await client("GET", "/_static/nope.css", root=client.github.url, token="")).status == 404
    assert (await client("GET", "/_static/..%2fsite.py", root=client.github.url, token="")).status == 404


@given(st.text())
def test_markdown_lets_no_other_tag_through(text: str) -> None:
    allowed = "a|p|em|strong|code|pre|ul|ol|li|h[1-6]|hr|br|blockquote|table|thead|tbody|tr|th|td|s|img"
    harmless = "details|summary|kbd|sub|sup"
    for tag in re.findall(r"<[^>]*>", str(render.markdown(text))):
        assert re.match(rf"</?({allowed}|{harmless})\b", tag), tag


@pytest.mark.parametrize(
    "text",
    [
        "<img src=x onerror=alert(1)>",
        "<details ontoggle=alert(1)>",
        "<kbd onclick=x>",
        "<a href=javascript:x>",
        "[x](javascript:alert(1))",
        "![x](javascript:alert(1))",
        "[x](data:text/html,<script>)",
    ],
)
def test_markdown_has_nothing_that_runs(text: str) -> None:
    made = str(render.markdown(text))
    assert "<img src=x" not in made
    assert "<details o" not in made
    assert "<kbd o" not in made
    assert 'href="javascript' not in made
    assert 'href="data' not in made


def test_code_is_never_unfolded() -> None:
    made = str(render.markdown("```\n<details>\n```\n\n`<kbd>`"))
    assert "<details>" not in made
    assert "<kbd>" not in made


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.3.2.1", "[::1]", "::1"])
def test_a_loopback_is_known(host: str) -> None:
    assert origin.is_loopback(host)


@pytest.mark.parametrize(
    "host", ["", "localhost.evil.example", "0.0.0.0", "10.0.0.1", "127.0.0.1.evil.example", "[::2]"]
)
def test_everything_else_is_none(host: str) -> None:
    assert not origin.is_loopback(host)


def test_a_host_loses_its_port() -> None:
    assert origin.host_name("[::1]:80") == "[::1]"
    assert origin.host_name("localhost:80") == origin.host_name("localhost") == "localhost"

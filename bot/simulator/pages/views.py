"""What each page shows, as values for its template."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from bot.simulator import github, registering, signing_in, values

#: Lists on pages end here.
_MOST = 100
#: A larger file is not shown.
_LARGEST_SHOWN_BYTES = 1_000_000

#: GitHub's conclusions: what they look like (a colour and an icon), and in words.
LOOKS = {
    "success": ("good", "Successful"),
    "failure": ("bad", "Failing"),
    "timed_out": ("bad", "Timed out"),
    "action_required": ("ask", "Action required"),
    "cancelled": ("off", "Cancelled"),
    "skipped": ("off", "Skipped"),
    "neutral": ("off", "Neutral"),
    "stale": ("off", "Stale"),
    "queued": ("wait", "Queued"),
    "in_progress": ("busy", "In progress"),
}

_PASSING = ("success", "neutral", "skipped")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A template and what it shows."""

    template: str
    title: str
    context: dict[str, Any]
    #: Of HTTP.
    status: int = 200
    #: The origin that a form of this page leads to in the end, where it is another one.
    leads_to: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a box of checks."""

    #: `good`, `bad`, `ask`, `off`, `wait` or `busy`.
    look: str
    words: str
    name: str
    title: str
    owner: values.User
    details_url: str
    run: values.CheckRun | None = None
    #: Whether our App made it: only then do its buttons reach somebody.
    is_ours: bool = False
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """All checks of one commit, as the merge box of a pull request shows them."""

    look: str
    headline: str
    counts: str
    rows: Sequence[Row]
    suites: Sequence[values.CheckSuite]
    #: Whether nothing more is to come, so that the page need not look again.
    is_settled: bool


def lost() -> Page:
    return Page(template="lost.html", title="Not found", context={}, status=404)


def look(run: values.CheckRun) -> tuple[str, str]:
    """The look of a run and its state in words."""
    return LOOKS.get(run.conclusion or run.status, LOOKS["neutral"])


def box(its: github.GitHub, repository: values.Repository, sha: str) -> Box:
    """The newest run of each name, and the newest status of each context."""
    newest = {(run.app.id, run.name): run for run in its.check_runs(repository, sha)}
    rows = []
    for run in sorted(newest.values(), key=lambda run: run.name):
        kind, words = look(run)
        seconds = (run.completed_at - run.started_at).total_seconds() if run.completed_at and run.started_at else None
        rows.append(
            Row(
                look=kind,
                words=words,
                name=run.name,
                title=run.title or "",
                owner=run.app.bot,
                details_url=run.details_url,
                run=run,
                is_ours=run.app is its.app,
                seconds=seconds,
            )
        )
    statuses = {s.context: s for s in its.statuses if s.repository is repository and s.sha == sha}
    for status in statuses.values():
        name = {"error": "failure", "pending": "in_progress"}.get(status.state, status.state)
        kind, words = LOOKS[name]
        rows.append(
            Row(
                look=kind,
                words=words,
                name=status.context,
                title=status.description or "",
                owner=status.creator,
                details_url=status.target_url or "",
            )
        )
    kind, headline = _verdict(rows)
    counted: dict[str, int] = {}
    for row in rows:
        counted[row.words.lower()] = counted.get(row.words.lower(), 0) + 1
    counts = ", ".join(f"{count} {words}" for words, count in counted.items())
    suites = [
        suite
        for suite in its.check_suites.values()
        if suite.repository is repository and suite.head_sha == sha and suite.app is its.app
    ]
    # A suite that was asked to run again is queued, though its runs stay as they were.
    is_asked_again = any(suite.runs and suite.status != "completed" for suite in suites)
    return Box(
        look=kind,
        headline=headline,
        counts=f"{counts} {'check' if len(rows) == 1 else 'checks'}" if rows else "Nothing was reported yet",
        rows=rows,
        suites=suites,
        is_settled=bool(rows) and not is_asked_again and not any(row.look in ("wait", "busy") for row in rows),
    )


def _verdict(rows: Sequence[Row]) -> tuple[str, str]:
    looks = {row.look for row in rows}
    if not rows:
        return "wait", "No checks yet"
    if looks & {"bad"}:
        return "bad", "Some checks were not successful"
    if looks & {"wait", "busy"}:
        return "busy", "Some checks haven’t completed yet"
    if looks & {"ask"}:
        return "ask", "Some checks wait for somebody"
    if any(row.run is not None and row.run.conclusion not in _PASSING for row in rows):
        return "off", "Some checks were cancelled"
    return "good", "All checks have passed"


def home(its: github.GitHub) -> Page:
    rows = []
    for repository in sorted(its.repositories.values(), key=lambda one: one.pushed_at, reverse=True):
        sha = repository.heads.get(repository.default_branch, "")
        rows.append(
            {
                "repository": repository,
                "box": box(its, repository, sha),
                "open_pulls": len(its.open_pulls(repository)),
                "is_installed": its.installation_for(repository) is not None,
            }
        )
    return Page(template="home.html", title="Repositories", context={"rows": rows})


async def repository(its: github.GitHub, shown: values.Repository) -> Page:
    its_git = its.git_of(shown)
    head = shown.heads.get(shown.default_branch)
    commits = await its_git.commits((await its_git.range([head], limit=20))[::-1]) if head else []
    pulls = [pull for pull in its.pulls.values() if pull.repository is shown]
    branches = sorted(shown.heads.items(), key=lambda pair: (pair[0] != shown.default_branch, pair[0]))
    return Page(
        template="repository.html",
        title=shown.full_name,
        context={
            "repository": shown,
            "commits": [{"commit": commit, "box": box(its, shown, commit.sha)} for commit in commits],
            "branches": [{"name": name, "sha": sha, "box": box(its, shown, sha)} for name, sha in branches[:_MOST]],
            "branch_count": len(branches),
            "pulls": [{"pull": pull, "box": box(its, shown, pull.head_sha)} for pull in pulls[::-1][:_MOST]],
        },
    )


async def pull(its: github.GitHub, shown: values.PullRequest) -> Page:
    shas = await its.pull_commits(shown)
    commits = await its.git_of(shown.repository).commits(shas)
    return Page(
        template="pull.html",
        title=f"{shown.title} #{shown.number}",
        context={
            "repository": shown.repository,
            "pull": shown,
            "commits": [{"commit": one, "box": box(its, shown.repository, one.sha)} for one in commits],
            "files": await its.pull_files(shown),
            "comments": its.comments_on(shown),
            "box": box(its, shown.repository, shown.head_sha),
            "state": its.merge_state(shown),
            "has_queue": its.has_merge_queue(shown.repository, shown.base_branch),
            "group": its.find_merge_group(shown),
            "back": f"/{shown.repository.full_name}/pull/{shown.number}",
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotated:
    """The annotations of one file."""

    path: str
    annotations: list[dict[str, Any]] = field(default_factory=list)


def run(its: github.GitHub, shown: values.CheckRun) -> Page:
    files: dict[str, Annotated] = {}
    for annotation in shown.annotations:
        path = str(annotation["path"])
        files.setdefault(path, Annotated(path=path)).annotations.append(its.shapes.annotation(shown, annotation))
    for one in files.values():
        one.annotations.sort(key=lambda annotation: int(annotation["start_line"]))
    kind, words = look(shown)
    others = [other for other in its.check_runs(shown.repository, shown.head_sha) if other.name == shown.name]
    return Page(
        template="run.html",
        title=f"{shown.name}: {words}",
        context={
            "repository": shown.repository,
            "run": shown,
            "look": kind,
            "words": words,
            "files": list(files.values()),
            "pulls": [one for one in its.open_pulls(shown.repository) if one.head_sha == shown.head_sha],
            "is_ours": shown.app is its.app,
            "is_newest": others[-1] is shown,
            "newest": others[-1],
            "back": f"/{shown.repository.full_name}/runs/{shown.id}",
        },
    )


async def commit(its: github.GitHub, shown: values.Repository, sha: str) -> Page:
    its_git = its.git_of(shown)
    found = await its_git.commit(sha)
    parent = found.parents[0] if found.parents else await its_git.empty_tree()
    return Page(
        template="commit.html",
        title=found.message.partition("\n")[0],
        context={
            "repository": shown,
            "commit": found,
            "files": await its_git.changes(parent, sha),
            "box": box(its, shown, sha),
            "back": f"/{shown.full_name}/commit/{sha}",
        },
    )


async def blob(its: github.GitHub, shown: values.Repository, sha: str, path: str) -> Page:
    """:raises KeyError: if there is no such file"""
    found = await its.git_of(shown).object(f"{sha}:{path}")
    if found is None or found[1] != "blob":
        raise KeyError(path)
    text = found[2].decode("utf-8", "replace") if len(found[2]) <= _LARGEST_SHOWN_BYTES else ""
    return Page(
        template="blob.html",
        title=path,
        context={"repository": shown, "sha": sha, "path": path, "lines": text.split("\n"), "size": len(found[2])},
    )


def deliveries(its: github.GitHub) -> Page:
    return Page(
        template="deliveries.html",
        title="Webhook deliveries",
        context={"deliveries": its.deliveries[::-1][:_MOST], "count": len(its.deliveries)},
    )


def delivery(its: github.GitHub, shown: values.Delivery) -> Page:
    payload = json.dumps(json.loads(shown.body), indent=2, ensure_ascii=False)
    attempts = [other for other in its.deliveries if other.guid == shown.guid]
    return Page(
        template="delivery.html",
        title=shown.payload_summary,
        context={"delivery": shown, "payload": payload, "attempts": attempts},
    )


def sign_in(its: github.GitHub, query: Mapping[str, str]) -> Page:
    """Asks whoever was sent here by an App whether they sign in; where the App did that wrong, says why."""
    try:
        wish = its.sign_ins.wish(query)
    except signing_in.NotAsked as error:
        return Page(template="sign_in.html", title="Sign in", context={"wish": None, "reason": str(error)}, status=400)
    parts = urlsplit(wish.redirect_uri)
    return Page(
        template="sign_in.html",
        title=f"Sign in to {wish.app.name}",
        context={"wish": wish, "query": query},
        leads_to=f"{parts.scheme}://{parts.netloc}",
    )


def register(its: github.GitHub, form: Mapping[str, str], *, owner: values.User, state: str) -> Page:
    """Asks whoever was sent here with a manifest whether there shall be such an App; says what is wrong with it."""
    try:
        wish = its.registrations.wish(form, owner=owner, state=state)
    except registering.NotRegistered as error:
        context = {"wish": None, "reason": str(error)}
        return Page(template="register.html", title="New GitHub App", context=context, status=422)
    parts = urlsplit(wish.manifest.redirect_url)
    return Page(
        template="register.html",
        title=f"New GitHub App of {owner.login}",
        context={"wish": wish, "longest": registering.LONGEST_NAME},
        leads_to=f"{parts.scheme}://{parts.netloc}",
    )


def install(its: github.GitHub) -> Page:
    """Offers every repository that the App is not installed on."""
    found = sorted(its.repositories.values(), key=lambda one: one.full_name.lower())
    open_ = [one for one in found if its.installation_for(one) is None]
    return Page(
        template="install.html", title=f"Install {its.app.name}", context={"app": its.app, "repositories": open_}
    )

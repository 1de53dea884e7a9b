"""What happens to check suites and check runs, and the events that it causes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from bot.simulator import lagging, talking, values, world

#: A suite's conclusion is the first of these that one of its runs has.
PRIORITY = ("action_required", "timed_out", "cancelled", "failure", "stale", "neutral", "success", "skipped")

#: GitHub deletes the oldest run of a name beyond this many in one suite.
MOST_RUNS_OF_ONE_NAME = 1000


class Checking(talking.Talking):
    """Checks, on top of what people say."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        #: What reads of check runs do not show yet.
        self.lag = lagging.Lag(self.clock)

    # Suites

    def find_suite(self, repository: values.Repository, app: values.App, sha: str) -> values.CheckSuite | None:
        for suite in reversed(self.check_suites.values()):
            if suite.repository is repository and suite.app is app and suite.head_sha == sha:
                return suite
        return None

    def new_suite(
        self, repository: values.Repository, app: values.App, commit: values.Commit, *, before: str | None = None
    ) -> values.CheckSuite:
        at = self.clock.now()
        suite = values.CheckSuite(
            id=self.new_id("check_suite"),
            repository=repository,
            app=app,
            head_commit=commit,
            head_branch=next((name for name, sha in repository.heads.items() if sha == commit.sha), None),
            before=before,
            created_at=at,
            updated_at=at,
        )
        self.check_suites[suite.id] = suite
        return suite

    def request_suite(self, repository: values.Repository, commit: values.Commit, before: str, *, sender: str) -> None:
        """What a push causes in an App that may write checks: a suite for the new head, and `requested`."""
        if self.app.permissions.get("checks") != "write" or self.installation_for(repository) is None:
            return
        if self.find_suite(repository, self.app, commit.sha) is None:
            suite = self.new_suite(repository, self.app, commit, before=before)
            self._tell_suite("requested", suite, self.user(sender))

    def shown_on(self, repository: values.Repository, sha: str) -> list[values.PullRequest]:
        """The open pull requests that a check of this commit is listed with: none from forks."""
        return [pull for pull in self.open_pulls(repository) if pull.head_sha == sha and not pull.is_fork]

    def rerequest_check_suite(self, repo: values.Repository | str, suite_id: int, *, sender: str | None = None) -> None:
        """Presses "Re-run all": the suite is queued again and its App told.

        :raises SimulatorError: if there is no such suite
        """
        suite = self.check_suites.get(suite_id)
        if suite is None or suite.repository is not self.repository(repo):
            raise world.SimulatorError(f"there is no check suite {suite_id}")
        self._reset(suite)
        self._tell_suite("rerequested", suite, self.user(sender or world.SOMEONE))

    def _reset(self, suite: values.CheckSuite) -> None:
        suite.status, suite.conclusion, suite.updated_at = "queued", None, self.clock.now()

    def _settle(self, suite: values.CheckSuite, sender: values.User) -> None:
        """Brings a suite up to date with its runs; the newest of each name counts."""
        newest = {run.name: run for run in suite.runs}.values()
        was = suite.status
        suite.updated_at = self.clock.now()
        if all(run.status == "completed" for run in newest):
            conclusions = {run.conclusion for run in newest}
            suite.status = "completed"
            suite.conclusion = next((word for word in PRIORITY if word in conclusions), None)
            if was != "completed":
                self._tell_suite("completed", suite, sender)
        else:
            started = any(run.status != "queued" for run in newest)
            suite.status, suite.conclusion = ("in_progress" if started else "queued"), None

    def _tell_suite(self, action: str, suite: values.CheckSuite, sender: values.User) -> None:
        if suite.app is not self.app:
            return
        shown = self.shown_on(suite.repository, suite.head_sha)
        payload = {"action": action, "check_suite": self.shapes.check_suite(suite, shown)}
        self.emit("check_suite", payload, repository=suite.repository, sender=sender)

    # Runs

    def lag_reads(self, seconds: float) -> None:
        """From now on the API's reads of check runs are so far behind; what was read or written here is not."""
        self.lag.seconds = seconds

    def check_runs(self, repo: values.Repository | str, sha: str | None = None) -> list[values.CheckRun]:
        """All check runs of a repository or of one commit of it, oldest first."""
        repository = self.repository(repo)
        runs = self.check_runs_by_id.values()
        return [run for run in runs if run.repository is repository and sha in (None, run.head_sha)]

    def check_run(self, repo: values.Repository | str, run_id: int) -> values.CheckRun:
        """:raises SimulatorError: if there is none of that id"""
        run = self.check_runs_by_id.get(run_id)
        if run is None or run.repository is not self.repository(repo):
            raise world.SimulatorError(f"there is no check run {run_id}")
        return run

    def create_check_run(
        self, repository: values.Repository, commit: values.Commit, body: Mapping[str, Any], *, app: values.App
    ) -> values.CheckRun:
        """Makes a check run of what `POST .../check-runs` takes; every call makes another one."""
        suite = self.find_suite(repository, app, commit.sha) or self.new_suite(repository, app, commit)
        run = values.CheckRun(
            id=self.new_id("check_run"),
            repository=repository,
            suite=suite,
            app=app,
            name=body["name"],
            head_sha=commit.sha,
            status="queued",
            conclusion=None,
            external_id="",
            details_url=f"{self.shapes.origin}/apps/{app.slug}",
            started_at=self.clock.now(),
            completed_at=None,
        )
        self.check_runs_by_id[run.id] = run
        self.lag.note(run.id, None)
        suite.runs.append(run)
        same = [other for other in suite.runs if other.name == run.name]
        for oldest in same[:-MOST_RUNS_OF_ONE_NAME]:
            suite.runs.remove(oldest)
            del self.check_runs_by_id[oldest.id]
        self._write_run(run, body)
        self._tell_run("created", run, app.bot)
        if run.status == "completed":
            self._tell_run("completed", run, app.bot)
        self._settle(suite, app.bot)
        return run

    def update_check_run(self, run: values.CheckRun, body: Mapping[str, Any]) -> None:
        """Changes what `PATCH .../check-runs/{id}` names; annotations are added to those that are there."""
        was_completed = run.status == "completed"
        self.lag.note(run.id, run)
        self._write_run(run, body)
        if run.status == "completed" and not was_completed:
            self._tell_run("completed", run, run.app.bot)
        self._settle(run.suite, run.app.bot)
        self.changes.ring()

    def _write_run(self, run: values.CheckRun, body: Mapping[str, Any]) -> None:
        for name in ("name", "external_id", "details_url", "status"):
            if name in body:
                setattr(run, name, body[name])
        if "started_at" in body:
            run.started_at = _instant(body["started_at"])
        if "conclusion" in body or "completed_at" in body:
            run.status = "completed"
        if run.status == "completed":
            run.conclusion = body.get("conclusion", run.conclusion)
            run.completed_at = _instant(body["completed_at"]) if "completed_at" in body else run.completed_at
            run.completed_at = run.completed_at or self.clock.now()
        else:
            run.conclusion = run.completed_at = None
        output = body.get("output", {})
        run.title = output.get("title", run.title)
        run.summary = output.get("summary", run.summary)
        run.text = output.get("text", run.text)
        run.annotations.extend(output.get("annotations", []))
        if "actions" in body:
            run.actions = list(body["actions"])

    def rerequest_check_run(self, repo: values.Repository | str, run_id: int, *, sender: str | None = None) -> None:
        """Presses "Re-run": the suite is queued again and the App told; the run itself stays as it is.

        :raises SimulatorError: if there is no such run
        """
        run = self.check_run(repo, run_id)
        self._reset(run.suite)
        self._tell_run("rerequested", run, self.user(sender or world.SOMEONE))

    def press_action(self, run: values.CheckRun, identifier: str, *, sender: str | None = None) -> None:
        """Presses one of the run's buttons.

        :raises SimulatorError: if it has no such button
        """
        if identifier not in [action["identifier"] for action in run.actions]:
            raise world.SimulatorError(f"check run {run.id} has no action {identifier!r}")
        person = self.user(sender or world.SOMEONE)
        self._tell_run("requested_action", run, person, requested_action={"identifier": identifier})

    async def create_foreign_check_run(
        self, repo: values.Repository | str, sha: str, name: str, **body: Any
    ) -> values.CheckRun:
        """A check run of another App: ours may see it and may not change it."""
        repository = self.repository(repo)
        commit = await self.git_of(repository).commit(sha)
        return self.create_check_run(repository, commit, {"name": name, **body}, app=self.other_app)

    def _tell_run(self, action: str, run: values.CheckRun, sender: values.User, **extra: Any) -> None:
        # Everyone who subscribed hears that there is a run; buttons are heard by the App that made them.
        if run.app is not self.app and action in ("rerequested", "requested_action"):
            return
        shown = self.shown_on(run.repository, run.head_sha)
        body = self.shapes.check_run(run, shown)
        body["check_suite"] = self.shapes.short_check_suite(run.suite, shown)
        payload = {"action": action, "check_run": body, **extra}
        self.emit("check_run", payload, repository=run.repository, sender=sender)

    async def wait_for_check(
        self,
        repo: values.Repository | str,
        sha: str,
        name: str = "buildhook",
        *,
        conclusion: str | None = None,
        timeout_seconds: float = 30.0,
    ) -> values.CheckRun:
        """The newest check run of this name, as soon as it is completed (with `conclusion`, if one is given).

        :raises TimeoutError: if that does not happen in time; the text says which runs there are
        """
        repository = self.repository(repo)

        def found() -> values.CheckRun | None:
            named = [run for run in self.check_runs(repository, sha) if run.name == name and run.app is self.app]
            if named and named[-1].status == "completed" and conclusion in (None, named[-1].conclusion):
                return named[-1]
            return None

        def describe() -> str:
            there = [
                f"{run.name}: {run.status}, {run.conclusion}, {run.title!r}" for run in self.check_runs(repository, sha)
            ]
            return f"no check run {name!r} of {sha} with {conclusion or 'a conclusion'}; there are {there or 'none'}"

        run = await self.wait_until(found, timeout_seconds=timeout_seconds, describe=describe)
        assert run is not None
        return run


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)

"""Check runs, check suites and webhook deliveries as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from urllib.parse import quote

from bot.simulator import values
from bot.simulator.shapes import accounts, pulls


class CheckShapes(pulls.PullShapes):
    """Checks, on top of everything that they are about."""

    def check_run(self, run: values.CheckRun, open_pulls: Sequence[values.PullRequest]) -> accounts.Body:
        """`open_pulls` are those that the run is shown on."""
        url = f"{self.repository_url(run.repository)}/check-runs/{run.id}"
        return {
            "id": run.id,
            "name": run.name,
            "node_id": accounts.node_id("CR", run.id),
            "head_sha": run.head_sha,
            "external_id": run.external_id,
            "url": url,
            "html_url": f"{run.repository.html_url}/runs/{run.id}",
            "details_url": run.details_url,
            "status": run.status,
            "conclusion": run.conclusion,
            "started_at": values.stamp(run.started_at) if run.started_at else None,
            "completed_at": values.stamp(run.completed_at) if run.completed_at else None,
            "output": {
                "title": run.title,
                "summary": run.summary,
                "text": run.text,
                "annotations_count": len(run.annotations),
                "annotations_url": f"{url}/annotations",
            },
            "check_suite": {"id": run.suite.id},
            "app": self.app(run.app),
            "pull_requests": [self.short_pull_request(pull) for pull in open_pulls],
        }

    def annotation(self, run: values.CheckRun, annotation: accounts.Body) -> accounts.Body:
        path = quote(str(annotation["path"]))
        return {
            "path": annotation["path"],
            "blob_href": f"{run.repository.html_url}/blob/{run.head_sha}/{path}",
            "start_line": annotation["start_line"],
            "end_line": annotation["end_line"],
            "start_column": annotation.get("start_column"),
            "end_column": annotation.get("end_column"),
            "annotation_level": annotation["annotation_level"],
            "title": annotation.get("title"),
            "message": annotation["message"],
            "raw_details": annotation.get("raw_details"),
        }

    def short_check_suite(self, suite: values.CheckSuite, open_pulls: Sequence[values.PullRequest]) -> accounts.Body:
        """What check run events say about the suite."""
        return {
            "id": suite.id,
            "node_id": accounts.node_id("CS", suite.id),
            "head_branch": suite.head_branch,
            "head_sha": suite.head_sha,
            "status": suite.status,
            "conclusion": suite.conclusion,
            "url": f"{self.repository_url(suite.repository)}/check-suites/{suite.id}",
            "before": suite.before,
            "after": suite.head_sha,
            "pull_requests": [self.short_pull_request(pull) for pull in open_pulls],
            "app": self.app(suite.app),
            "created_at": values.stamp(suite.created_at),
            "updated_at": values.stamp(suite.updated_at),
        }

    def check_suite(self, suite: values.CheckSuite, open_pulls: Sequence[values.PullRequest]) -> accounts.Body:
        """What check suite events say; with the repository, what the API says."""
        short = self.short_check_suite(suite, open_pulls)
        return {
            **short,
            "rerequestable": True,
            "runs_rerequestable": True,
            "latest_check_runs_count": len(suite.runs),
            "check_runs_url": f"{short['url']}/check-runs",
            "head_commit": self.simple_commit(suite.head_commit),
        }

    def simple_commit(self, commit: values.Commit) -> accounts.Body:
        """A commit as check suites show it."""
        return {
            "id": commit.sha,
            "tree_id": commit.tree,
            "message": commit.message,
            "timestamp": values.stamp(commit.committer.at),
            "author": {"name": commit.author.name, "email": commit.author.email},
            "committer": {"name": commit.committer.name, "email": commit.committer.email},
        }

    def delivery(self, delivery: values.Delivery) -> accounts.Body:
        """What lists of deliveries say."""
        return {
            "id": delivery.id,
            "guid": delivery.guid,
            "delivered_at": delivery.created_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "redelivery": delivery.redelivery,
            "duration": round(delivery.duration_seconds, 2),
            "status": delivery.status,
            "status_code": delivery.status_code,
            "event": delivery.event,
            "action": delivery.action,
            "installation_id": delivery.installation_id,
            "repository_id": delivery.repository_id,
            "throttled_at": None,
        }

    def full_delivery(self, delivery: values.Delivery) -> accounts.Body:
        """What one delivery says: also what was sent and what was answered."""
        return {
            **self.delivery(delivery),
            "url": delivery.url or "",
            "request": {"headers": delivery.headers, "payload": json.loads(delivery.payload_json)},
            "response": {"headers": delivery.response_headers, "payload": delivery.response_body},
        }

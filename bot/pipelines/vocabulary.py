"""The words of a pipeline file: those that mean something here, and those of GitHub Actions that do not yet."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from bot.pipelines import words


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """A mapping of the file, by its keys."""

    #: With its article, for sentences.
    name: str
    #: Those that mean something here.
    keys: Mapping[str, words.Key]
    #: Keys that users of GitHub Actions know, each with what to write instead.
    unsupported: Mapping[str, str] = msgspec.field(default_factory=dict)

    @property
    def known(self) -> tuple[str, ...]:
        """The keys that mean something here."""
        return tuple(self.keys)


_PERMISSIONS = "delete it, builds get no token of GitHub"
_CONCURRENCY = "write it at the top of the file, it holds for the build as a whole"

PIPELINE = Kind(
    name="the pipeline",
    keys=words.PIPELINE,
    unsupported={
        "permissions": _PERMISSIONS,
        "run-name": "delete it, a build bears the title of its commit or pull request",
        "true": "write `on` (some tools turn it into this word)",
    },
)
DEFAULTS = Kind(name="`defaults`", keys=words.DEFAULTS)
DEFAULTS_RUN = Kind(name="`defaults.run`", keys=words.DEFAULTS_RUN)
JOB = Kind(
    name="a job",
    keys=words.JOB,
    unsupported={
        "concurrency": _CONCURRENCY,
        "permissions": _PERMISSIONS,
        "uses": "write the steps out",
        "with": "use `env`",
    },
)
STRATEGY = Kind(name="`strategy`", keys=words.STRATEGY)
STEP = Kind(
    name="a step",
    keys=words.STEP,
    unsupported={"with": "use `env`"},
)
#: What `actions/checkout` may be told: the code is there already, with its history.
CHECKOUT = Kind(
    name="`actions/checkout`",
    keys=words.CHECKOUT,
    unsupported={
        "lfs": "delete it, and fetch in a step what the job needs",
        "path": "delete it, the code is in the workspace",
        "ref": "delete it, the commit that is tested is there",
        "repository": "delete it, and clone in a step what the job needs",
        "ssh-key": "delete it, the code is already there",
        "submodules": "delete it, and fetch in a step what the job needs",
        "token": "delete it, the code is already there",
    },
)
#: https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#jobsjob_idstepsshell
SHELLS = ("bash", "sh", "python", "pwsh")
CONTAINER = Kind(
    name="`container`",
    keys=words.CONTAINER,
    unsupported={"credentials": "delete it, images are pulled as the machine may"},
)
REPORTS = Kind(
    name="`reports`",
    keys=words.REPORTS,
    unsupported={
        "annotations": "write them to `$BUILDHOOK_RESULTS/annotations.json`",
        "cobertura": "write `coverage`, the file says which format it has",
        "lcov": "write `coverage`, the file says which format it has",
        "summary": "write it to `$BUILDHOOK_RESULTS/summary.md`",
    },
)
ARTIFACT = Kind(name="an artifact", keys=words.ARTIFACT)
CACHE = Kind(name="a cache", keys=words.CACHE)
_OF_PULL_REQUEST = "delete it, a pull request is made against a branch"
_OF_GROUP = "delete it, a merge group is tested as a whole before it is merged"
PUSH = Kind(
    name="`on.push`",
    keys=words.PUSH,
    unsupported={
        "comment": "write it under `pull_request`",
        "drafts": "write it under `pull_request`",
        "types": "delete it, a push has no types",
    },
)
PULL_REQUEST = Kind(
    name="`on.pull_request`",
    keys=words.PULL_REQUEST,
    unsupported={
        "draft": "write `drafts: false`",
        "tags": _OF_PULL_REQUEST,
        "tags-ignore": _OF_PULL_REQUEST,
    },
)
MERGE_GROUP = Kind(
    name="`on.merge_group`",
    keys=words.MERGE_GROUP,
    unsupported={
        "drafts": "write it under `pull_request`",
        "paths": _OF_GROUP,
        "paths-ignore": _OF_GROUP,
        "tags": "delete it, a merge group is merged into a branch",
        "tags-ignore": "delete it, a merge group is merged into a branch",
    },
)
HOOK = Kind(
    name="`on.hook`",
    keys=words.HOOK,
    unsupported={"types": "delete it, the operator's policy file says which types of a source start builds"},
)
SCHEDULE = Kind(
    name="an item of `on.schedule`",
    keys=words.SCHEDULE,
    unsupported={"timezone": "delete it, and write the time in UTC"},
)
WORKFLOW_DISPATCH = Kind(name="`on.workflow_dispatch`", keys=words.WORKFLOW_DISPATCH)
INPUT = Kind(
    name="an input",
    keys=words.INPUT,
    unsupported={"deprecationMessage": "delete it"},
)
#: https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#onworkflow_dispatchinputsinput_idtype
INPUT_TYPES = ("string", "number", "boolean", "choice", "environment")
EVENTS: Mapping[str, Kind] = {
    "push": PUSH,
    "pull_request": PULL_REQUEST,
    "merge_group": MERGE_GROUP,
    "hook": HOOK,
    "schedule": SCHEDULE,
    "workflow_dispatch": WORKFLOW_DISPATCH,
}

CONCURRENCY = Kind(
    name="`concurrency`",
    keys=words.CONCURRENCY,
    unsupported={"queue": "delete it, one build of a group waits, and a newer one takes its place"},
)
#: What a group of `concurrency` spans.
SCOPES = ("ref", "repository")

#: What a build can follow from, by event; the first ones do where `types` is not written.
#: https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows#pull_request
TYPES: Mapping[str, tuple[str, ...]] = {
    "pull_request": ("opened", "synchronize", "reopened", "ready_for_review", "edited", "labeled"),
    "merge_group": ("checks_requested",),
}
DEFAULT_TYPES: Mapping[str, tuple[str, ...]] = {
    "pull_request": TYPES["pull_request"][:5],
    "merge_group": TYPES["merge_group"],
}
#: Types of GitHub Actions that nothing follows from here.
UNSUPPORTED_TYPES: Mapping[str, str] = {
    **dict.fromkeys(
        ("assigned", "unassigned", "unlabeled", "locked", "unlocked", "milestoned", "demilestoned"),
        "they change nothing that is built",
    ),
    **dict.fromkeys(
        ("review_requested", "review_request_removed", "auto_merge_enabled", "auto_merge_disabled"),
        "they change nothing that is built",
    ),
    **dict.fromkeys(("enqueued", "dequeued"), "write `merge_group` under `on` to build what is to be merged"),
    "closed": "a merge is built as the push that it is",
    "converted_to_draft": "what was built stays as it is",
}

#: https://docs.github.com/en/actions/reference/events-that-trigger-workflows
UNSUPPORTED_EVENTS: frozenset[str] = frozenset(
    {
        "branch_protection_rule",
        "check_run",
        "check_suite",
        "create",
        "delete",
        "deployment",
        "deployment_status",
        "discussion",
        "discussion_comment",
        "fork",
        "gollum",
        "image_version",
        "issue_comment",
        "issues",
        "label",
        "milestone",
        "page_build",
        "public",
        "pull_request_comment",
        "pull_request_review",
        "pull_request_review_comment",
        "pull_request_target",
        "registry_package",
        "release",
        "repository_dispatch",
        "status",
        "watch",
        "workflow_call",
        "workflow_run",
    }
)

#: Actions that have nothing to do here, by the beginning of their name.
USELESS_ACTIONS: Mapping[str, str] = {
    "actions/setup-": "use what the machine has, or install it in `run`",
    "actions/cache": "write `cache` in the job",
    "actions/upload-artifact": "write `artifacts` in the job",
    "actions/download-artifact": "write `artifacts` in the job that makes it",
    "docker://": "write `container` in the job",
    "./": "write its commands in `run`",
}

"""Which deliveries must be handled one after the other: those about one pull request, one ref, one commit's checks."""

from __future__ import annotations

from bot.webhooks.shape import Head


def key(event: str, *, head: Head, hook_id: int, guid: str) -> str:
    """The ordering key; deliveries with different keys are handled side by side.

    Where nothing is known to be shared the key is the delivery's own, so it waits for nobody.
    """
    subject = _subject(event, head)
    if subject is None:
        return f"delivery:{hook_id}:{guid}"
    # A ref may be long and hostile; the key is only compared, never parsed.
    return f"{event_family(event)}:{subject}"[:512]


def event_family(event: str) -> str:
    """Events that move the same thing share a family."""
    return {
        "create": "ref",
        "delete": "ref",
        "push": "ref",
        "check_run": "check",
        "check_suite": "check",
        "installation": "installation",
        "installation_repositories": "installation",
        "issue_comment": "pull",
        "pull_request": "pull",
        "pull_request_review": "pull",
    }.get(event, event)


def _subject(event: str, head: Head) -> str | None:
    family = event_family(event)
    if family == "installation" and head.installation_id is not None:
        return str(head.installation_id)
    if head.repository_id is None:
        return None
    if family == "repository":
        return str(head.repository_id)
    if family == "pull" and head.number is not None:
        return f"{head.repository_id}:{head.number}"
    if family == "ref" and head.ref is not None:
        return f"{head.repository_id}:{_full_ref(head.ref, head.ref_type)}"
    if family == "check" and head.head_sha is not None:
        return f"{head.repository_id}:{head.head_sha}"
    return None


def _full_ref(ref: str, ref_type: str | None) -> str:
    # A push names the whole ref; `create` and `delete` say beside the name of what kind it is.
    folder = {"branch": "refs/heads/", "tag": "refs/tags/"}.get(ref_type or "", "")
    return folder + ref

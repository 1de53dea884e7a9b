"""What an event says of a pull request, as it is stored: of itself, and what its builds have in common."""

from __future__ import annotations

from bot.events import excerpt, payloads, planning, pull_trust
from bot.events.context import Context
from bot.github import Repository
from bot.model import build
from bot.pipelines import parse


def seen(changed: payloads.PullRequest, known: build.Pull | None, *, runs: bool, shows_builds: bool) -> build.Pull:
    """What is known of it from now on.

    :param known: what was known before.
    """
    pull = changed.pull_request
    return build.Pull(
        repository_id=changed.repository.id,
        number=changed.number,
        head_repository_id=pull.head.repo.id if pull.head.repo is not None else None,
        head_ref=pull.head.ref,
        head_sha=pull.head.sha,
        base_ref=pull.base.ref,
        base_sha=pull.base.sha,
        author_id=pull.user.id,
        state=pull.state,
        updated_at=payloads.utc(pull.updated_at),
        runs=runs,
        is_draft=pull.draft is True,
        is_only_authors=pull_trust.is_only_authors(changed, known),
        shows_builds=shows_builds,
    )


def maker(
    changed: payloads.PullRequest, context: Context, *, repository: str, trust_given: build.Trust, cause: str
) -> planning.Maker:
    """What makes its builds."""
    assert changed.installation is not None
    pull = changed.pull_request
    template = build.Build(
        id=context.new_id(),
        repository_id=changed.repository.id,
        installation_id=changed.installation.id,
        repository=repository,
        event="pull_request",
        ref=f"refs/pull/{changed.number}/merge",
        head_sha=pull.head.sha,
        base_sha=pull.base.sha,
        base_ref=pull.base.ref,
        head_ref=pull.head.ref,
        pull_number=changed.number,
        title=(pull.title or "")[:255],
        sender=changed.sender.login,
        sender_id=changed.sender.id,
        trust=trust_given,
        payload=excerpt.of_pull(changed),
        delivery_id=context.delivery.id,
        cause=cause,
        created_at=context.now(),
    )
    return planning.Maker(template=template, new_id=context.new_id, now=context.now(), note=context.note)


async def shows_builds(repository: Repository, *, base_sha: str, of_base: bytes | None, of_head: bytes | None) -> bool:
    """Whether a comment is to show its builds: where the pipeline file of the base says so, and not against what runs.

    The base is asked only where its file may matter, and was not read for another reason.

    :param of_base: the base's file, where it decides what runs; None where the head's does.
    """
    if of_base is not None:
        return _asks(of_base)
    if not _asks(of_head):
        return False
    return _asks(await repository.get_file(planning.PIPELINE_PATH, ref=base_sha))


def _asks(content: bytes | None) -> bool:
    # Looked for before it is read as a whole: hardly a file has the word.
    if content is None or b"comment" not in content:
        return False
    parsed = parse.parse(content, path=planning.PIPELINE_PATH)
    of_pulls = parsed.pipeline.on.get("pull_request") if parsed.pipeline is not None else None
    return of_pulls is not None and of_pulls.comment

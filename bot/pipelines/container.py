"""Reads `container` and `services`: images that a job, or what it needs beside it, runs in."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from bot import images
from bot.expressions import names
from bot.model import job
from bot.pipelines import container_words, fields, nodes, templates, vocabulary
from bot.pipelines.problems import Problems, quoted

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}")


def read(node: nodes.Node, *, problems: Problems, is_service: bool = False) -> job.Container | None:
    """An image, by its name or with what it is given; None where it cannot be read.

    https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#jobsjob_idcontainer
    """
    if isinstance(node, nodes.Scalar):
        image = _image(node, problems)
        return None if image is None else job.Container(image=image)
    given = fields.keys(node, of=vocabulary.CONTAINER, problems=problems)
    if given is None:
        return None
    if "image" not in given:
        problems.add(node.place, "A container needs `image`, e.g. `image: python:3.13-slim`.")
        return None
    image = _image(given["image"], problems)
    options = _options(given["options"], problems, is_service=is_service) if "options" in given else ""
    return job.Container(
        image=image or "",
        env=fields.environment(given["env"], problems=problems, place=names.JOB_ENV) if "env" in given else {},
        ports=_texts(given, "ports", problems, container_words.port),
        volumes=_texts(given, "volumes", problems, container_words.volume),
        options=options or "",
    )


def read_services(node: nodes.Node, *, problems: Problems) -> Mapping[str, job.Container]:
    """Each service by its name, which is its host name for the job."""
    found = {}
    for key, value in fields.entries(node, what="`services`", problems=problems):
        if not _NAME.fullmatch(key.text):
            problems.add(key.place, f"{quoted(key.text)} cannot name a service: use letters, digits, `-` and `_`.")
        one = read(value, problems=problems, is_service=True)
        if one is not None:
            found[key.text] = one
    return found


def _options(node: nodes.Node, problems: Problems, *, is_service: bool) -> str | None:
    text = fields.text(node, what="`options`", problems=problems)
    if text and not is_service:
        problems.add(node.place, "`options` of a job's own container cannot be given: delete it.")
    elif text:
        _tried(container_words.health, text, node, problems)
    return text


def _texts(
    given: Mapping[str, nodes.Node], key: str, problems: Problems, check: Callable[[str], Any]
) -> tuple[str, ...]:
    if key not in given:
        return ()
    found = []
    for node, text in fields.texts(given[key], what=f"`{key}`", problems=problems):
        _tried(check, text, node, problems)
        found.append(text)
    return tuple(found)


def _tried(check: Callable[[str], Any], text: str, node: nodes.Node, problems: Problems) -> None:
    try:
        check(text)
    except container_words.WordProblem as error:
        problems.add(node.place, str(error))


def _image(node: nodes.Node, problems: Problems) -> str | None:
    late = templates.late(node, place=names.JOB, problems=problems) if isinstance(node, nodes.Scalar) else None
    if late is not None:
        return late
    text = fields.text(node, what="`image`", problems=problems)
    if text is not None and images.parse(text) is None:
        problems.add(node.place, f"{quoted(text)} is not the name of an image, e.g. `python:3.13-slim`.")
        return None
    return text

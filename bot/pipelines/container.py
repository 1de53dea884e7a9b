"""Reads `container` and `services`: images that a job, or what it needs beside it, runs in."""

from __future__ import annotations

import re
from collections.abc import Mapping

from bot.expressions import names
from bot.model import job
from bot.pipelines import fields, nodes, vocabulary
from bot.pipelines.problems import Problems, quoted

#: https://docs.docker.com/reference/cli/docker/image/tag/#description
_IMAGE = re.compile(r"[a-z0-9][a-z0-9._:/-]{0,254}(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(@sha256:[0-9a-f]{64})?")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}")


def read(node: nodes.Node, *, problems: Problems) -> job.Container | None:
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
    options = fields.text(given["options"], what="`options`", problems=problems) if "options" in given else ""
    return job.Container(
        image=image or "",
        env=fields.environment(given["env"], problems=problems, place=names.JOB_ENV) if "env" in given else {},
        ports=_texts(given, "ports", problems),
        volumes=_texts(given, "volumes", problems),
        options=options or "",
    )


def read_services(node: nodes.Node, *, problems: Problems) -> Mapping[str, job.Container]:
    """Each service by its name, which is its host name for the job."""
    found = {}
    for key, value in fields.entries(node, what="`services`", problems=problems):
        if not _NAME.fullmatch(key.text):
            problems.add(key.place, f"{quoted(key.text)} cannot name a service: use letters, digits, `-` and `_`.")
        one = read(value, problems=problems)
        if one is not None:
            found[key.text] = one
    return found


def _texts(given: Mapping[str, nodes.Node], key: str, problems: Problems) -> tuple[str, ...]:
    if key not in given:
        return ()
    return tuple(text for _, text in fields.texts(given[key], what=f"`{key}`", problems=problems))


def _image(node: nodes.Node, problems: Problems) -> str | None:
    text = fields.text(node, what="`image`", problems=problems)
    if text is not None and not _IMAGE.fullmatch(text):
        problems.add(node.place, f"{quoted(text)} is not the name of an image, e.g. `python:3.13-slim`.")
        return None
    return text

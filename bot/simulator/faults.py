"""Faults on order: slow, broken, half or missing answers, so that it can be proved that a client survives them."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True, kw_only=True, eq=False)
class Fault:
    """What happens to requests that match, in place of or on top of the true answer."""

    #: None matches every method.
    methods: frozenset[str] | None
    #: Searched in the path with its query, without `/api/v3`.
    path: re.Pattern[str]
    #: How many requests are still to be hit; None for all.
    times: int | None
    #: How likely a request that matches is hit, 0 to 1.
    probability: float
    #: Hits each request of this number among those that match: 3 is the third, the sixth, ...
    every: int
    #: The same method, path and body meets it once only: hit or spared then, spared ever after.
    once_each: bool
    #: Answers with this status, and nothing is done.
    status: int | None
    #: The JSON body of that answer.
    body: Any
    #: Set on the answer, the true one too.
    headers: Mapping[str, str]
    #: Waits before anything is done.
    delay_seconds: float
    #: The connection is cut and nothing is done.
    drop_before: bool
    #: It is done, and the connection is cut before an answer.
    drop_response_after_applying: bool
    #: It is done, and the connection is cut in the middle of the answer's body.
    truncate: bool
    #: It is done, unless there is a `status`, and the API's answer is a page for people instead of JSON.
    html: bool
    #: How many requests it has hit.
    hits: int = field(default=0)
    #: How many requests matched, hit or not.
    matches: int = field(default=0)
    #: What it has met, where it is `once_each`.
    met: set[tuple[str, str, bytes]] = field(default_factory=set)


class Faults:
    """The faults that are set; the first one that matches a request, and whose dice hit it, is applied to it."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._dice = random.Random(0)  # noqa: S311

    def seed(self, number: int) -> None:
        """The same requests in the same order meet the same faults after this."""
        self._dice.seed(number)

    def add(
        self,
        *,
        method: str | Sequence[str] | None = None,
        path: str = "",
        times: int | None = 1,
        probability: float = 1.0,
        every: int = 1,
        once_each: bool = False,
        status: int | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        delay_seconds: float = 0.0,
        drop_before: bool = False,
        drop_response_after_applying: bool = False,
        truncate: bool = False,
        html: bool = False,
    ) -> Fault:
        """Sets a fault for the API and for git over HTTP; see `Fault` for what each argument does.

        :param method: one or several
        :param path: a regular expression, searched in the path with its query, e.g. `/check-runs$`
        :param times: how many requests it hits; None for all until `clear`
        :raises re.error: if `path` is not a regular expression
        :raises ValueError: if `probability` or `every` cannot be
        """
        if not 0 <= probability <= 1 or every < 1:
            raise ValueError("probability is from 0 to 1, every is at least 1")
        methods = [method] if isinstance(method, str) else method
        fault = Fault(
            methods=frozenset(one.upper() for one in methods) if methods else None,
            path=re.compile(path),
            times=times,
            probability=probability,
            every=every,
            once_each=once_each,
            status=status,
            body=body,
            headers=dict(headers or {}),
            delay_seconds=delay_seconds,
            drop_before=drop_before,
            drop_response_after_applying=drop_response_after_applying,
            truncate=truncate,
            html=html,
        )
        self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Removes every fault."""
        self._faults.clear()

    def take(self, method: str, path: str, body: bytes = b"") -> Fault | None:
        """The fault for this request, counted as one hit."""
        for fault in self._faults:
            if (
                fault.times != 0
                and (fault.methods is None or method in fault.methods)
                and fault.path.search(path)
                and self._hits(fault, (method, path, body))
            ):
                fault.hits += 1
                if fault.times is not None:
                    fault.times -= 1
                return fault
        return None

    def _hits(self, fault: Fault, request: tuple[str, str, bytes]) -> bool:
        """Whether a fault hits a request that matches it; counts that they met."""
        if fault.once_each:
            method, path, body = request
            known = method, path, hashlib.sha256(body).digest()
            if known in fault.met:
                return False
            fault.met.add(known)
        fault.matches += 1
        return fault.matches % fault.every == 0 and self._dice.random() < fault.probability

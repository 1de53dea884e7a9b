"""Faults on order: slow, broken, half or missing answers, so that it can be proved that a client survives them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True, kw_only=True, eq=False)
class Fault:
    """What happens to requests that match, in place of or on top of the true answer."""

    #: None matches every method.
    method: str | None
    #: Searched in the path with its query, without `/api/v3`.
    path: re.Pattern[str]
    #: How many requests are still to be hit; None for all.
    times: int | None
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


class Faults:
    """The faults that are set; the first one that matches a request is applied to it."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(
        self,
        *,
        method: str | None = None,
        path: str = "",
        times: int | None = 1,
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

        :param path: a regular expression, searched in the path with its query, e.g. `/check-runs$`
        :param times: how many requests it hits; None for all until `clear`
        :raises re.error: if `path` is not a regular expression
        """
        fault = Fault(
            method=method.upper() if method else None,
            path=re.compile(path),
            times=times,
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

    def take(self, method: str, path: str) -> Fault | None:
        """The fault for this request, counted as one hit."""
        for fault in self._faults:
            if fault.times != 0 and fault.method in (None, method) and fault.path.search(path):
                fault.hits += 1
                if fault.times is not None:
                    fault.times -= 1
                return fault
        return None

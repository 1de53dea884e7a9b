"""The matchers of the usual tools: what their messages look like in a log without any help from the repository."""

from __future__ import annotations

import functools

from bot.reports.matchers import Finder, Matcher, in_two, single

#: A path: no spaces in front, no colon in it.
_PATH = r"([^\s:][^:]{0,254})"


@functools.cache
def known() -> tuple[Matcher, ...]:
    """In this order; what stands further up takes a line first."""
    return (
        # error[E0308]: mismatched types
        #   --> src/main.rs:2:18
        in_two(
            "cargo",
            (r"^(error|warning)(?:\[([A-Z]\d{1,6})\])?: (.+)$", {"severity": 1, "code": 2, "message": 3}),
            # The message stays what the line before said.
            (r"^\s{0,20}--> ([^\s:][^:]{0,254}):(\d{1,7}):\d{1,7}$", {"file": 1, "line": 2}),
            loops=False,
        ),
        # src/hello.c:12:5: error: ..., which mypy with columns, shellcheck -f gcc and clang write too.
        single(
            "gcc",
            rf"^{_PATH}:(\d{{1,7}}):(?:\d{{1,7}}:)? (?:fatal )?(error|warning|note): (.+?)"
            r"(?: \[([\w+=/.-]{1,80})\])?$",
            file=1,
            line=2,
            severity=3,
            message=4,
            code=5,
        ),
        # src/index.ts(4,7): error TS2322: ... and src/index.ts:4:7 - error TS2322: ...
        single(
            "tsc",
            r"^([^\s(][^(]{0,254})\((\d{1,7}),\d{1,7}\): (error|warning|info) (TS\d{1,6}): (.+)$",
            file=1,
            line=2,
            severity=3,
            code=4,
            message=5,
        ),
        single(
            "tsc-pretty",
            rf"^{_PATH}:(\d{{1,7}}):\d{{1,7}} - (error|warning|info) (TS\d{{1,6}}): (.+)$",
            file=1,
            line=2,
            severity=3,
            code=4,
            message=5,
        ),
        # /workspace/a.js: line 5, col 12, Error - 'x' is not defined. (no-undef)
        single(
            "eslint-compact",
            rf"^{_PATH}: line (\d{{1,7}}), col \d{{1,7}}, (Error|Warning|Info) - (.+?)(?: \(([^()]{{1,120}})\))?$",
            file=1,
            line=2,
            severity=3,
            message=4,
            code=5,
        ),
        # src/a.js
        #   1:7  error  'x' is assigned a value but never used  no-unused-vars
        in_two(
            "eslint-stylish",
            (r"^((?:/|\.|\w|@)[^\s:()'\"]{0,254}\.(?:[cm]?[jt]sx?|vue|svelte|json|md|ya?ml|html))$", {"file": 1}),
            (
                r"^\s{1,8}(\d{1,7}):\d{1,7}\s{1,20}(error|warning|info)\s{1,20}(.+?)(?:\s{2,}([\w@./-]{1,120}))?$",
                {"line": 1, "severity": 2, "message": 3, "code": 4},
            ),
            loops=True,
        ),
        # bot/app.py:12:5: F401 `os` imported but unused, and flake8 the same way
        single(
            "ruff", rf"^{_PATH}:(\d{{1,7}}):\d{{1,7}}: ([A-Z]{{1,6}}\d{{1,5}}) (.+)$", file=1, line=2, code=3, message=4
        ),
        # F401 [*] `os` imported but unused
        #  --> bot/app.py:1:8
        in_two(
            "ruff-full",
            (r"^([A-Z]{1,6}\d{1,5}|invalid-syntax):? (?:\[\*\] )?(.+)$", {"code": 1, "message": 2}),
            (r"^\s{0,20}--> ([^\s:][^:]{0,254}):(\d{1,7}):\d{1,7}$", {"file": 1, "line": 2}),
            loops=False,
        ),
        # tests/test_a.py:3: AssertionError
        single("pytest", r"^([^\s:][^:]{0,254}\.py):(\d{1,7}): ([A-Za-z_][\w.]{0,199})$", file=1, line=2, message=3),
        # ./main.go:10:2: undefined: x, vet: ./main.go:10:2: ..., and of a test: '    main_test.go:9: got 1'
        single(
            "go",
            r"^\s{0,20}(?:vet: )?([^\s:][^:\s]{0,250}\.go):(\d{1,7})(?::\d{1,7})?: (.+)$",
            file=1,
            line=2,
            message=3,
        ),
        # file:line:column: message
        single(
            "line",
            # With a suffix, or every time of day would be a place.
            r"^([^\s:][^:]{0,240}\.[A-Za-z][A-Za-z0-9]{0,9}):(\d{1,7}):\d{1,7}: (\S.*)$",
            file=1,
            line=2,
            message=3,
        ),
    )


@functools.cache
def finder() -> Finder:
    """Finds what any of them says; made when the first log is looked at, for it takes time and megabytes."""
    return Finder(known())

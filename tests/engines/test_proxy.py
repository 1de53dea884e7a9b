"""The proxy of the egress list: what it passes on, what it refuses, and how little it can be harmed."""

from __future__ import annotations

import ast
import json
import os
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies

from bot.engines.local.supervisor import heads
from tests.engines import world


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Any:
    """What came of each attempt among real servers."""
    return world.once(tmp_path_factory, worker_id, "tests.engines.proxied")


HEAD = "{} HTTP/1.1\r\nHost: www.example\r\n{}Connection: close\r\n\r\n{}"
PASSED_ON = {
    "a body": HEAD.format("POST /path?q", "Content-Length: 4\r\n", "body"),
    "a second request behind a body": HEAD.format("POST /path?q", "Content-Length: 4\r\n", "body"),
    "a second request behind no body": HEAD.format("POST /path?q", "", ""),
    "a second request behind an empty body": HEAD.format("POST /path?q", "Content-Length: 0\r\n", ""),
    "chunks": HEAD.format("POST /path?q", "Transfer-Encoding: chunked\r\n", "2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n"),
    "a second request behind chunks": HEAD.format(
        "POST /path?q", "Transfer-Encoding: chunked\r\n", "4\r\nbody\r\n0\r\n\r\n"
    ),
    "an address without a path": HEAD.format("GET /?q", "", "").replace("/1.1", "/1.0"),
}
REFUSED = {
    "two lengths": 400,
    "a length and chunks": 400,
    "another coding": 400,
    "a coding with a blank": 400,
    "a field that goes on": 400,
    "a line end of one byte": 400,
    "a zero byte": 400,
    "no request": 400,
    "a path": 400,
    "https without a tunnel": 400,
    "a user": 400,
    "another version": 400,
    "a tunnel without a port": 400,
    "many fields": 400,
    "a giant head": 431,
    "what is not listed": 403,
    "another port": 403,
    "this host": 403,
    "a private address": 403,
    "a name that is none": 502,
    "a port where nobody is": 502,
}


def test_t55_a_server_sees_the_one_request_that_was_judged_and_nothing_behind_it(found: Any) -> None:
    answers = found["requests"]["answers"]
    for name, passed_on in PASSED_ON.items():
        said, *seen = answers[name]
        assert [ast.literal_eval(one).decode() for one in seen] == [passed_on], name
        assert said.endswith(passed_on), name


def test_t55_what_is_malformed_or_not_listed_reaches_nobody(found: Any) -> None:
    answers = found["requests"]["answers"]
    assert set(answers) == PASSED_ON.keys() | REFUSED.keys()
    for name, status in REFUSED.items():
        said, *seen = answers[name]
        assert said.startswith(f"HTTP/1.1 {status} "), name
        assert seen == [], name
    assert "evil.example:443 is not in the list of the operator's policy" in answers["what is not listed"][0]


def test_t55_refusals_are_told_once_and_not_without_end(found: Any) -> None:
    told = found["requests"]["told"]
    assert [one.split()[0] for one in told] == [
        "evil.example:443",
        "www.example:22",
        "own.example:8099",
        "internal.example:80",
    ]
    assert len(found["telling"]["first"]) == 1
    assert len(found["telling"]["then"]) == 99
    assert found["telling"]["then"][-1] == "more of what is refused is not told"


def test_t55_a_name_is_looked_up_once_and_its_checked_address_is_taken(found: Any) -> None:
    first, second = found["rebinding"]["said"]
    assert first.endswith(f"reached {world.PUBLIC}\n")
    assert second.startswith("HTTP/1.1 403 flip.example:8099 has the address 127.0.0.1")
    assert found["rebinding"]["lookups"] == [f"flip.example {world.PUBLIC}", "flip.example 127.0.0.1"]
    assert found["rebinding"]["mixed"].endswith(f"\r\n\r\nreached {world.PUBLIC}\n")


def test_many_connections_at_once_are_served_and_more_wait(found: Any) -> None:
    assert found["many"] == {"reached": 120, "waits": True, "after": True}


def test_whoever_is_slow_is_not_waited_for_without_end(found: Any) -> None:
    assert found["slow"] == [
        "HTTP/1.1 408 no request came",
        "HTTP/1.1 408 no request came",
        "HTTP/1.1 200 Connection established",
        "",
    ]


def test_a_side_that_has_said_all_still_hears_the_other(found: Any) -> None:
    assert found["ends"].endswith("Content-Length: 24\r\n\r\nGET / HTTP/1.1\r\nA: b\r\n\r\n")


WORDS = strategies.sampled_from(
    [
        *(b"GET", b"CONNECT", b" ", b"http://", b"a.example", b":80", b":443", b"/", b"@", b"#", b"[::1]", b"HTTP/1.1"),
        *(b"\r\n", b"\n", b"\r", b"\0", b"\t", b"X:", b"Host: b.example"),
        *(b"Content-Length: 3", b"Transfer-Encoding: chunked"),
    ]
)
MESSES = strategies.lists(WORDS, max_size=14).map(b"".join)


@hypothesis.given(MESSES)
def test_t55_whatever_is_passed_on_is_one_request_to_the_host_that_was_judged(mess: bytes) -> None:
    try:
        made = heads.parse(b"GET http://a.example/ HTTP/1.1\r\n" + mess + b"\r\n\r\n")
    except heads.Malformed:
        return
    lines = made.head.split(b"\r\n")
    assert lines[-2:] == [b"", b""]
    assert b"" not in lines[:-2]
    names = [line.partition(b":")[0].lower() for line in lines[1:-2]]
    assert names.count(b"host") == 1
    assert lines[1] == b"Host: a.example"
    assert names.count(b"content-length") + names.count(b"transfer-encoding") <= 1
    assert not {b"\n", b"\r", b"\0"} & {bytes((one,)) for line in lines for one in line}


@hypothesis.given(strategies.one_of(strategies.binary(max_size=200), MESSES))
def test_any_bytes_are_a_request_or_none(head: bytes) -> None:
    try:
        made = heads.parse(head + b"\r\n\r\n")
    except heads.Malformed as error:
        told = str(error)
        made = None
    assert made is not None or told
    assert made is None or 0 < made.port < 65536


@pytest.mark.parametrize("line", [b"", b"-1", b"+1", b"0x1", b"1 2", b"g", b"1" * 16, b"1\n", b"1;\0", b" "])
def test_a_chunk_without_a_size_is_none(line: bytes) -> None:
    with pytest.raises(heads.Malformed):
        heads.chunk_size(line + b"\r\n")


@pytest.mark.parametrize(
    "way",
    [
        *(["root"] if os.geteuid() == 0 else []),
        pytest.param("namespace", marks=[pytest.mark.long] if os.geteuid() == 0 else []),
    ],
)
def test_t55_a_job_goes_by_the_list_that_it_began_with(tmp_path: Path, way: str) -> None:
    found = json.loads(world.run("tests.engines.listed", str(tmp_path), way=way))
    listed = "evil.example:80 is not in the list of the operator's policy (`[network]`)"
    assert found["log"].splitlines() == [
        "ca.pem",
        "ready",
        "www.example: HTTP/1.1 200 OK",
        f"evil.example: HTTP/1.1 403 {listed}",
        f"buildhook: network: {listed}.",
    ]
    assert found["result"] == "passed"
    # It is the job's user by now, and holds nothing of ours but what it was given.
    is_other = way == "root"
    assert all((int(uid) >= 64000) == is_other for uid in found["uids"])
    assert {one for one in found["held"] if "supervisor.err" not in one} == {"/dev/null"}
    # The policy lets strangers have the list by then, which is another one.
    assert "www.example: HTTP/1.1 403 www.example:80 is not in the list" in found["stranger"]
    assert found["ended"].splitlines() == [
        "ready",
        "buildhook: network: the proxy of the egress list was ended, so the rest of the job reaches nothing.",
        "on",
    ]
    assert found["killed"] == []

"""What keeps a job apart from this host's terminal, from what the service holds, and from the job before it."""

from __future__ import annotations

import asyncio
import dataclasses
import fcntl
import os
import re
import secrets
import struct
import sys
import termios
from pathlib import Path

import pytest

from bot.choices import Network
from bot.engines import contract
from bot.engines.local import engine as local
from bot.engines.local import sandbox
from tests.engines import jobs
from tests.engines.conftest import Open


async def test_t53_a_job_types_nothing_into_the_terminal_that_the_service_was_started_from(tmp_path: Path) -> None:
    master, terminal = os.openpty()

    def take() -> None:
        os.setsid()
        fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)

    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.engines.terminal", str(tmp_path)),
        stdin=terminal,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        preexec_fn=take,
    )
    said, wrong = await process.communicate()
    assert said.decode().splitlines() == ["passed ['tried', 'True']"] * 2, wrong.decode()
    waiting = fcntl.ioctl(terminal, termios.FIONREAD, bytes(4))
    assert struct.unpack("i", waiting) == (0,)
    os.close(terminal)
    os.close(master)


GOLDEN_FDS = """\
0 -> /dev/null
1 -> pipe
2 -> pipe
3 -> /proc/self/fd
"""
GOLDEN_ENV = """\
BUILDHOOK_RESULTS=/run/results
CI=true
GITHUB_ENV=/tmp/FILE
GITHUB_OUTPUT=/tmp/FILE
GITHUB_PATH=/tmp/FILE
GITHUB_SHA=COMMIT
GITHUB_WORKSPACE=/workspace
HOME=/home/build
LANG=C.UTF-8
LOGNAME=build
OLDPWD=/
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
PWD=/workspace
RUNNER_ARCH=ARCHITECTURE
RUNNER_OS=Linux
RUNNER_TEMP=/tmp
SHELL=/usr/bin/bash
SHLVL=1
TMPDIR=/tmp
TRACEPARENT=00-0123456789abcdef0123456789abcdef-0123456789abcdef-01
TRACESTATE=
USER=build
_=/usr/bin/env
"""
TRACE_PARENT = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"
PROXY_ENV = """\
HTTPS_PROXY=http://127.0.0.1:3128
HTTP_PROXY=http://127.0.0.1:3128
NO_PROXY=localhost,127.0.0.1,::1
http_proxy=http://127.0.0.1:3128
https_proxy=http://127.0.0.1:3128
no_proxy=localhost,127.0.0.1,::1
"""
HELD = r"""
ls -l /proc/self/fd | sed -n 's/.* \([0-9]* -> \)/\1/p' | sed 's,pipe:.*,pipe,; s,/proc/[0-9]*/fd,/proc/self/fd,'
echo ---
env | LC_ALL=C sort | sed "s/$GITHUB_SHA/COMMIT/; s,=/tmp/.*,=/tmp/FILE,; s/^RUNNER_ARCH=.*/RUNNER_ARCH=ARCHITECTURE/"
echo ---
find / -xdev -type s 2> /dev/null; find /run /tmp /dev /home /workspace /proc/self/root/run -type s 2> /dev/null
for kind in tcp tcp6 udp udp6 raw raw6 unix netlink packet; do
    sed 1d /proc/net/$kind 2> /dev/null | grep -v ':0C38 00000000:0000 0A' | sed "s/^/$kind /"
done
echo ---
"""


@pytest.mark.parametrize("network", ["none", "list"])
async def test_t54_what_a_step_holds_is_exactly_this(open_engine: Open, code: jobs.Code, network: str) -> None:
    egress = contract.Egress(allow=("pypi.org",))
    engine = await open_engine(network=network, egress=egress)
    given = {"SSH_AUTH_SOCK": "/run/ssh", "DBUS_SESSION_BUS_ADDRESS": "unix:/run/bus", "DOCKER_HOST": "unix:/run/d"}
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        asked = jobs.make(code.source(trust=jobs.TRUSTED), HELD)
        told = await jobs.run(engine, dataclasses.replace(asked, trace_parents=(TRACE_PARENT,)))
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
    fds, env, sockets, _ = told.log.split("---\n")
    assert fds == GOLDEN_FDS
    wanted = sorted((GOLDEN_ENV + (PROXY_ENV if network == "list" else "")).splitlines())
    assert sorted(re.sub("^SHELL=.*bash$", "SHELL=/usr/bin/bash", line) for line in env.splitlines()) == wanted
    # Those of the kernel itself, which have no process.
    assert [line for line in sockets.splitlines() if not re.fullmatch(r"netlink [0-9a-f]+ \d+ +0 .*", line)] == []


def test_t59_no_mount_point_lies_where_a_build_can_write() -> None:
    places = {"box": "/box", "etc": "/etc-of-jobs", "objects": "/objects"}
    for reach in Network:
        options = sandbox.options(places=places, env={}, reach=reach, can_nest=False)
        takes = {"--ro-bind": 2, "--bind": 2, "--symlink": 2, "--dir": 1, "--proc": 1, "--dev": 1}
        made = [(word, options[at + takes[word]]) for at, word in enumerate(options) if word in takes]
        writable = {path for word, path in made if word == "--bind"}
        assert writable == {"/workspace", "/home/build", "/tmp", "/run/results"}
        assert len(made) > 20
        for _, path in made:
            assert not any(path.startswith(f"{one}/") for one in writable), path
        # From here on not even the sandbox's own root can be written.
        assert options[options.index("--remount-ro") + 1] == "/"
        assert not [path for word, path in made if options.index("--remount-ro") < options.index(word)]


async def test_t59_a_build_that_turns_its_folders_into_links_changes_no_mount(
    engine: local.Local, code: jobs.Code, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.mkdir(mode=0o777)
    victim.chmod(0o777)
    first = f"""
    set +e
    for place in /workspace /home/build /tmp /run/results; do
        rm -rf $place/.git $place/* $place; rmdir $place; mv $place $place.x
        ln -s {victim} $place; ln -sfn {victim} $place
        ln -s {victim} $place/results; ln -s {victim} $place/workspace; ln -s {victim} $place/tmp
    done 2> /dev/null
    true
    """
    second = "set +e; echo here; for place in /workspace /home/build /tmp /run/results; do echo x > $place/x; done"
    told = await jobs.run(engine, jobs.make(code.source(), first, second))
    assert (told.result, told.log) == ("passed", "here\n")
    assert list(victim.iterdir()) == []


LEAVE = """
set +e
for place in ~ /tmp /var/tmp /workspace /dev/shm "$BUILDHOOK_RESULTS" .git .git/objects /run /run/steps /run/objects; do
    mkdir -p $place/MARK; echo MARK > $place/MARK/MARK; echo MARK > $place/.MARK
done 2> /dev/null
git config user.name MARK; echo MARK | git hash-object -w --stdin; git update-ref refs/heads/MARK HEAD
echo A=MARK >> $GITHUB_ENV; echo a=MARK >> $GITHUB_OUTPUT; echo /MARK >> $GITHUB_PATH
(exec -a MARK setsid sleep 600 < /dev/null > /dev/null 2>&1 &)
/usr/bin/python3 - <<'END'
import ctypes, os
libc = ctypes.CDLL(None)
libc.shmget(0x4D41524B, 4096, 0o1666)
libc.mq_open(b"/MARK", os.O_CREAT | os.O_RDWR, 0o666, None)
libc.semget(0x4D41524B, 1, 0o1666)
END
echo left; until test -e go; do sleep 0.01; done
"""
LOOK = """
set +e
grep -rslF MARK / --exclude-dir=proc --exclude-dir=usr --exclude-dir=steps
find / -xdev -name '*MARK*' -not -path '/usr/*' 2> /dev/null; find /dev/shm ~ /tmp /run/results -mindepth 1
git for-each-ref | grep MARK; git config -l | grep MARK; git cat-file -p BLOB 2> /dev/null; env | grep MARK
cat /proc/[0-9]*/cmdline | tr '\\0' '\\n' | grep -x '[c]ANARY'
tail -q -n +2 /proc/sysvipc/shm /proc/sysvipc/sem /proc/sysvipc/msg
true
"""


@pytest.mark.parametrize("uid", ["of its own", "the same again"])
async def test_t66_a_canary_of_one_job_is_invisible_to_the_next(
    open_engine: Open, code: jobs.Code, data_dir: Path, monkeypatch: pytest.MonkeyPatch, uid: str
) -> None:
    if uid == "the same again":
        known = await asyncio.to_thread(sandbox.uid, "01J")
        monkeypatch.setattr(sandbox, "uid", lambda job_id: known)
    engine = await open_engine()
    mark = f"canary{secrets.token_hex(8)}"
    first = jobs.make(code.source(), LEAVE.replace("MARK", mark))
    await engine.start(first)
    await jobs.until_output(engine, first.job_id, b"left")
    look = LOOK.replace("MARK", mark).replace("[c]ANARY", f"[c]{mark[1:]}")
    # Beside it, behind it, and when it is forgotten.
    beside = await jobs.run(engine, jobs.make(code.source(), look))
    (jobs.stream_path(data_dir, first.job_id).parent / "box" / "workspace" / "go").touch()
    ended = await jobs.follow(engine, first.job_id)
    blob = ended.log.split()[0]
    behind = await jobs.run(engine, jobs.make(code.source(), look.replace("BLOB", blob)))
    await engine.remove(first.job_id)
    later = await jobs.run(engine, jobs.make(code.source(), look.replace("BLOB", blob)))
    assert ended.result == "passed"
    for told in (beside, behind, later):
        assert (told.result, told.log) == ("passed", "")


#: https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands and those of others.
DIRECTIVES = (
    *("::set-env name=EVIL::1", "::add-path::/evil", "::set-output name=EVIL::1", "::save-state name=EVIL::1"),
    *("::debug::EVIL", "::notice file=a,line=1::EVIL", "::warning file=a::EVIL", "::error file=a,line=1::EVIL"),
    *("::group::EVIL", "::endgroup::", "::add-mask::EVIL", "::echo::on", "::add-matcher::evil.json"),
    *("::remove-matcher owner=evil::", "::stop-commands::EVIL", "::EVIL::", "::internal-set-repo-path::/evil"),
    *("##[set-env name=EVIL;]1", "##[add-path]/evil", "##[error]EVIL", "##[group]EVIL", "##[command]EVIL"),
    *("##vso[task.setvariable variable=EVIL;isOutput=true]1", "##vso[task.complete result=Succeeded;]EVIL"),
    *("##vso[task.prependpath]/evil", "##vso[task.uploadsummary]/evil", "##vso[artifact.upload artifactname=EVIL]/"),
    *("##vso[task.logissue type=error]EVIL", "##vso[build.addbuildtag]EVIL", "##vso[task.setendpoint id=a]EVIL"),
    *("##teamcity[setParameter name='env.EVIL' value='1']", "##teamcity[buildStatus status='SUCCESS' text='EVIL']"),
    *("##teamcity[publishArtifacts '/']", "##teamcity[buildStop comment='EVIL']", "##teamcity[testFailed name='EVIL']"),
    *("section_start:1:EVIL[collapsed=true]\r\x1b[0K", "section_end:1:EVIL\r\x1b[0K", "travis_fold:start:EVIL"),
    *("--- EVIL", "+++ EVIL", "~~~ EVIL", "^^^ +++", "buildkite-agent meta-data set EVIL 1", "[Pipeline] EVIL"),
    *("buildhook: network: EVIL.", "[buildhook dropped 1 bytes here]", "Cache: `EVIL` is kept, 1 MiB."),
    *("EVIL=1", "export EVIL=1", '{ "exit-code": 0 }', '{ "child-pid": 1 }', "\0\x01passed", "result: passed"),
)


async def test_t67_no_known_directive_in_the_output_changes_anything(engine: local.Local, code: jobs.Code) -> None:
    sha = code.repository.commit({"directives": "\n".join(DIRECTIVES) + "\n"})
    look = "env | grep -v GITHUB_ | sort; ls -A . ~ /tmp $BUILDHOOK_RESULTS"

    async def printed(script: str) -> jobs.Told:
        return await jobs.run(engine, jobs.make(code.source(sha), script, look, "exit 3", "echo never"))

    evil, plain = await printed("cat directives; cat directives >&2"), await printed("true")
    for directive in DIRECTIVES:
        assert evil.log.count(directive) >= 2, directive
    assert plain.log
    assert evil.log.endswith(plain.log)
    assert (evil.result, evil.end.exit_code, evil.reason) == (plain.result, 3, plain.reason)
    assert (evil.steps, dict(evil.end.outputs)) == (plain.steps, dict(plain.end.outputs))

    def kinds(told: jobs.Told) -> list[str]:
        return [type(one).__name__ for one in told.events if not isinstance(one, contract.Output)]

    assert kinds(evil) == kinds(plain)

"""What code in the sandbox cannot do: each test is an attempt, from inside, on the machine outside."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import stat
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.engines.local import engine as local
from bot.engines.local import sandbox, seccomp
from bot.model import build, job
from tests.engines import jobs
from tests.engines.conftest import Open


async def said(engine: local.Local, code: jobs.Code, *scripts: str, trust: build.Trust = jobs.UNTRUSTED) -> str:
    """What scripts print; each of their commands may fail."""
    told = await jobs.run(
        engine, jobs.make(code.source(trust=trust), *(f"set +e\n{script}\ntrue" for script in scripts))
    )
    assert told.result == "passed", (told.reason, told.log)
    return told.log


async def test_t54_a_step_holds_no_descriptor_but_its_three(engine: local.Local, code: jobs.Code) -> None:
    # One more for the listing itself.
    assert (await said(engine, code, "ls /proc/self/fd", "ls /proc/self/fd")).split() == ["0", "1", "2", "3"] * 2


async def test_t54_the_environment_is_exactly_this(engine: local.Local, code: jobs.Code) -> None:
    names = (await said(engine, code, "env | sed s/=.*// | sort")).split()
    assert names == [
        *(
            "BUILDHOOK_RESULTS",
            "CI",
            "GITHUB_ENV",
            "GITHUB_OUTPUT",
            "GITHUB_PATH",
            "GITHUB_SHA",
            "GITHUB_WORKSPACE",
            "HOME",
            "LANG",
        ),
        *("LOGNAME", "OLDPWD", "PATH", "PWD", "RUNNER_ARCH", "RUNNER_OS", "RUNNER_TEMP"),
        *("SHELL", "SHLVL", "TMPDIR", "USER", "_"),
    ]


async def test_t54_the_file_system_is_exactly_this(engine: local.Local, code: jobs.Code) -> None:
    top = (await said(engine, code, "ls -A /")).split()
    assert set(top) - {"sbin", "lib", "lib32", "lib64", "libx32"} == {
        *("bin", "dev", "etc", "home", "proc", "run", "tmp", "usr", "var", "workspace")
    }
    inside = await said(engine, code, "ls -A /run /home /var /dev; find / -xdev -type s; find /tmp -mindepth 1")
    assert "sock" not in inside
    assert (
        inside.split("\n\n")[0].split()
        == [
            *("/dev:", "console", "core", "fd", "full", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin"),
            *("stdout", "tty", "urandom", "zero"),
        ]
        or "console" not in inside
    )


async def test_t54_files_of_the_host_are_not_there(
    engine: local.Local, code: jobs.Code, data_dir: Path, tmp_path: Path
) -> None:
    canary = secrets.token_hex(16)
    (tmp_path / "secret").write_text(canary)
    places = (
        tmp_path / "secret",
        data_dir,
        Path.home(),
        "/etc/shadow",
        "/etc/ssh",
        "/etc/hostname",
        "/sys",
        "/boot",
        "/var/log",
    )
    script = "\n".join(f"test -e {place} && echo there: {place}" for place in places)
    assert "there" not in await said(engine, code, script)
    found = await said(engine, code, f"grep -rsl {canary} / --exclude-dir=proc --exclude-dir=usr --exclude-dir=steps")
    assert found == ""
    assert (await said(engine, code, "cat /etc/passwd | cut -d: -f1")).split() == ["root", "build", "nobody"]


async def test_t60_processes_of_the_host_and_of_other_jobs_are_not_seen(engine: local.Local, code: jobs.Code) -> None:
    other = jobs.make(code.source(), "echo there; sleep 987654")
    await engine.start(other)
    await jobs.until_output(engine, other.job_id, b"there")
    script = "cat /proc/[0-9]*/cmdline | tr '\\0' ' '; echo; ls -d /proc/[0-9]* | wc -l"
    seen = await said(engine, code, script)
    assert "987654" not in seen
    assert "pytest" not in seen
    assert int(seen.split()[-1]) <= 6
    await engine.cancel(other.job_id, reason="seen")
    await jobs.follow(engine, other.job_id)


async def test_t60_the_kernel_tells_nothing_and_takes_nothing(engine: local.Local, code: jobs.Code) -> None:
    script = """
    head -c 1 /proc/kcore /proc/kmsg /dev/mem /dev/sda /dev/vda 2>/dev/null | tr -d '=<>/a-z \\n'
    grep -v '^0* ' /proc/kallsyms | head -1
    for file in /proc/sysrq-trigger /proc/sys/kernel/hostname /proc/sys/kernel/core_pattern /proc/sys/vm/drop_caches; do
        (echo 1 > $file) 2>/dev/null && echo wrote $file
    done
    mknod /tmp/sda b 8 0 2>/dev/null && echo made a device
    dmesg 2>/dev/null | head -1
    """
    assert (await said(engine, code, script)).strip() == ""


async def test_t58_no_capability_no_new_privileges_no_namespaces(engine: local.Local, code: jobs.Code) -> None:
    status = await said(engine, code, "grep -E 'Cap|NoNewPrivs' /proc/self/status")
    rows = dict(line.split(":\t") for line in status.splitlines())
    assert {name: int(value, 16) for name, value in rows.items()} == {
        **dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), 0),
        "NoNewPrivs": 1,
    }
    script = """
    unshare --user true 2>/dev/null && echo user namespace
    unshare --mount true 2>/dev/null && echo mount namespace
    mount -t tmpfs none /tmp 2>/dev/null && echo mounted
    mount -o remount,rw / 2>/dev/null && echo remounted
    umount /etc/passwd 2>/dev/null && echo unmounted
    chroot / true 2>/dev/null && echo chroot
    cut -d' ' -f2,4 /proc/self/mounts | grep -v nosuid
    """
    assert (await said(engine, code, script)).strip() == ""


async def test_t53_there_is_no_terminal_to_type_into(engine: local.Local, code: jobs.Code) -> None:
    script = """
    (: < /dev/tty) 2>/dev/null && echo a terminal
    tty
    cut -d' ' -f7 /proc/self/stat
    """
    assert (await said(engine, code, script)).split() == ["not", "a", "tty", "0"]


async def test_t49_t59_what_the_service_owns_cannot_be_written(
    engine: local.Local, code: jobs.Code, data_dir: Path
) -> None:
    before = _state(data_dir / "engine" / "mirrors")
    script = """
    for place in / /usr /usr/bin /etc /run /run/objects /run/objects/pack /run/objects/info /run/steps /home /var; do
        (echo x > $place/x) 2>/dev/null && echo wrote $place
        rm -rf $place/info $place/0.sh 2>/dev/null
    done
    for file in $(find /run/objects /run/steps -type f) /etc/passwd /etc/resolv.conf; do
        (echo x >> $file) 2>/dev/null && echo wrote $file
        chmod 666 $file 2>/dev/null && echo changed $file
        mv $file $file.x 2>/dev/null && echo moved $file
        ln $file /tmp/linked 2>/dev/null && echo linked $file
    done
    """
    await jobs.run(engine, jobs.make(code.source(), "true"))
    before = _state(data_dir / "engine" / "mirrors")
    assert (await said(engine, code, script, script)).strip() == ""
    assert _state(data_dir / "engine" / "mirrors") == before


async def test_t49_what_the_service_owns_is_mounted_read_only(engine: local.Local, code: jobs.Code) -> None:
    mounts = dict(line.split() for line in (await said(engine, code, "cut -d' ' -f2,4 /proc/self/mounts")).splitlines())
    writable = {place for place, options in mounts.items() if "rw" in options.split(",")}
    assert {place for place in writable if not place.startswith(("/dev", "/proc"))} == {
        *("/workspace", "/home/build", "/run/results", "/tmp"),
    }


def _state(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    return {
        str(path.relative_to(folder)): (
            path.stat().st_mode,
            path.stat().st_uid,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in folder.rglob("*")
    }


async def test_t59_links_in_a_workspace_lead_nowhere_outside(
    engine: local.Local, code: jobs.Code, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    first = f"""
    rm -rf src ~/x /tmp/x; ln -s {tmp_path} src; ln -s / root; mkdir -p deep; ln -s ../../../../../.. deep/up
    ln -s {victim} ~/x; ln -s {victim} /tmp/x; ln -s /run/objects .git/objects/pack/stolen
    rm -rf .git/hooks; mkdir .git/hooks
    echo 'touch {tmp_path}/hooked' > .git/hooks/post-checkout; chmod +x .git/hooks/*
    git config core.fsmonitor 'touch {tmp_path}/watched; false'; git config core.sshCommand 'touch {tmp_path}/sshed'
    """
    second = f"""
    echo changed > src/victim; echo changed > ~/x; echo changed > /tmp/x; rm -rf root/{victim}; ls src/
    """
    there = job.Step(name="in a link", run="pwd; ls", working_directory="src")
    request = jobs.make(code.source(), f"set +e{first}true", f"set +e{second}true", there)
    told = await jobs.run(engine, request)
    assert told.steps[-1] == (2, "failed")
    await engine.remove(request.job_id)
    assert victim.read_text() == "untouched"
    assert not [name for name in ("hooked", "watched", "sshed") if (tmp_path / name).exists()]


async def test_t57_nothing_that_a_build_started_outlives_its_step(engine: local.Local, code: jobs.Code) -> None:
    mark = f"{secrets.randbelow(10**9) + 10**9}"
    script = f"""
    (setsid sh -c 'trap "" TERM HUP; nohup sleep {mark} >/dev/null 2>&1 &' &)
    (exec -a sneaky setsid sleep {mark} <&- >&- 2>&- &)
    until [ $(cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' | grep -c '^{mark}$') -ge 2 ]; do :; done
    """
    told = await jobs.run(
        engine, jobs.make(code.source(), script, f"! cat /proc/[0-9]*/cmdline | grep -c [{mark[0]}]{mark[1:]}")
    )
    assert told.result == "passed"
    for process in Path("/proc").glob("[0-9]*"):
        try:
            assert mark.encode() + b"\0" not in (process / "cmdline").read_bytes()
        except OSError:
            continue


async def test_t55_untrusted_code_has_no_network_whatever_the_setting(open_engine: Open, code: jobs.Code) -> None:
    engine = await open_engine(network="full")
    with socket.create_server(("0.0.0.0", 0)) as listening:
        port = listening.getsockname()[1]
        addresses = ("127.0.0.1", "10.0.2.2", "169.254.169.254", *_own_addresses())
        tries = "\n".join(
            f"(exec 3<>/dev/tcp/{address}/{port}) 2>/dev/null && echo reached {address}" for address in addresses
        )
        tries += f"\n(exec 3<>/dev/tcp/::1/{port}) 2>/dev/null && echo reached ::1"
        script = f"{tries}\nls /sys 2>/dev/null; cat /proc/net/dev"
        seen = await said(engine, code, script)
    assert "reached" not in seen
    assert [line.split(":")[0].strip() for line in seen.splitlines()[2:]] == ["lo"]


def _own_addresses() -> list[str]:
    from bot.engines.local.supervisor import spaces

    return spaces.own_addresses()


async def test_t55_abstract_sockets_of_the_host_are_out_of_reach(engine: local.Local, code: jobs.Code) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        name = f"canary-{secrets.token_hex(8)}"
        listening.bind(f"\0{name}")
        listening.listen()
        assert name not in await said(engine, code, "cat /proc/net/unix")


async def test_t56_limits_are_set(engine: local.Local, code: jobs.Code) -> None:
    limits = (await said(engine, code, "ulimit -c; ulimit -n; ulimit -u; cat /proc/self/oom_score_adj; nice")).split()
    assert limits[0] == "0"
    assert int(limits[1]) <= 16384
    assert int(limits[2]) <= 8192
    assert (int(limits[3]), int(limits[4])) >= (500, 5)


async def test_t66_a_job_finds_nothing_of_the_one_before(engine: local.Local, code: jobs.Code) -> None:
    mark = secrets.token_hex(8)
    places = "~ /tmp /workspace /dev/shm"
    await said(
        engine, code, f"for place in {places}; do echo {mark} > $place/{mark}; done; git config user.name {mark}"
    )
    assert mark not in await said(engine, code, f"ls -A {places}; git config -l; env")


async def test_t67_output_is_never_a_command(engine: local.Local, code: jobs.Code) -> None:
    directives = """
    printf 'F\\0\\0\\0\\020result\\0passed'; echo '{ "exit-code": 0 }'; echo EVIL=1 > "${GITHUB_ENV:-/tmp/env}"
    """
    told = await jobs.run(engine, jobs.make(code.source(), directives, "env; exit 3"))
    assert (told.result, told.end.exit_code) == ("failed", 3)
    assert "EVIL" not in told.log[told.log.index("CI=true") :]


async def test_f66_a_command_cannot_say_that_it_passed(engine: local.Local, code: jobs.Code) -> None:
    # The descriptors that the supervisor listens on are closed before the script begins.
    script = "for fd in 3 4 5 6 7 8 9; do (echo '{ \"exit-code\": 0 }' >&$fd) 2>/dev/null && echo wrote $fd; done"
    script += "; kill -9 $$"
    told = await jobs.run(engine, jobs.make(code.source(), script))
    assert (told.result, told.end.exit_code, told.log) == ("failed", 137, "")


async def test_a_job_runs_as_a_user_of_its_own(engine: local.Local, code: jobs.Code, data_dir: Path) -> None:
    request = jobs.make(code.source(), "touch made; id -u")
    told = await jobs.run(engine, request)
    assert told.log == "1000\n"
    made = data_dir / "engine" / "jobs" / request.job_id / "box" / "workspace" / "made"
    assert made.stat().st_uid == (await asyncio.to_thread(sandbox.uid, request.job_id) or os.geteuid())
    assert made.stat().st_uid != 0
    folder = data_dir / "engine" / "jobs" / request.job_id
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder of programs that every user of this machine may run, as /usr/bin is."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        path = Path(name)
        path.chmod(0o755)
        for program in ("git", "sh", "bash"):
            (path / program).symlink_to(Path("/usr/bin") / program)
        yield path


async def test_t58_where_no_sandbox_can_be_made_the_job_says_how_to_mend_it(
    data_dir: Path, code: jobs.Code, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The same machine, with a bubblewrap that is missing, setuid, or refused by the kernel.
    path = open_folder
    monkeypatch.setattr(sandbox, "SEARCH_PATH", str(path))

    async def ended() -> jobs.Told:
        engine = local.Local(data_dir)
        await engine.open()
        try:
            return await jobs.run(engine, jobs.make(code.source(), "echo it ran"))
        finally:
            await engine.close()

    missing = await ended()
    assert missing.result == "errored"
    assert "apt-get install bubblewrap" in missing.reason
    (path / "bwrap").write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    (path / "bwrap").chmod(0o755)
    refused = await ended()
    assert refused.result == "errored"
    assert "No permissions to create new namespace" in refused.reason
    assert "security-opt" in refused.reason
    (path / "bwrap").chmod(0o4755)
    setuid = await ended()
    assert setuid.result == "errored"
    assert "chmod u-s" in setuid.reason
    assert "it ran" not in missing.log + refused.log + setuid.log


async def test_t58_a_probe_and_not_a_version_decides_and_what_is_mended_is_used_at_once(
    data_dir: Path, code: jobs.Code, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for program in open_folder.iterdir():
        program.unlink()
    wrapped = open_folder / "bwrap"
    wrapped.write_text("#!/bin/sh\nexit 1\n")
    wrapped.chmod(0o755)
    monkeypatch.setattr(sandbox, "SEARCH_PATH", f"{open_folder}:/usr/bin:/bin")
    engine = local.Local(data_dir)
    await engine.open()
    assert (await jobs.run(engine, jobs.make(code.source(), "echo ran"))).result == "errored"
    wrapped.write_text('#!/bin/sh\nexec /usr/bin/bwrap "$@"\n')
    assert (await jobs.run(engine, jobs.make(code.source(), "echo ran"))).result == "passed"
    # A bubblewrap that does not know the option that forbids user namespaces is used without it.
    wrapped.write_text(
        "#!/bin/bash\nif tr '\\0' '\\n' < /proc/self/fd/5 | grep -q disable-userns; then\n"
        "echo 'bwrap: Unknown option --disable-userns' >&2; exit 1; fi\n"
        'exec /usr/bin/bwrap "$@"\n'
    )
    broken = await jobs.run(engine, jobs.make(code.source(), "echo ran"))
    assert broken.result == "errored"
    assert (await jobs.run(engine, jobs.make(code.source(), "echo ran"))).result == "passed"
    await engine.close()


async def test_t54_descriptors_of_the_service_do_not_reach_a_supervisor(
    engine: local.Local, code: jobs.Code, tmp_path: Path
) -> None:
    with open(tmp_path / "held", "w") as held:
        os.set_inheritable(held.fileno(), True)
        request = jobs.make(code.source(), "echo on; sleep 600")
        await engine.start(request)
        await jobs.until_output(engine, request.job_id, b"on")
        holders = 0
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if int(process.name) != os.getpid() and (process / "fd").exists():
                    holders += sum(os.readlink(fd) == held.name for fd in (process / "fd").iterdir())
            except OSError:
                continue
        assert holders == 0
        await engine.cancel(request.job_id, reason="seen")
        await jobs.follow(engine, request.job_id)


async def test_many_sandboxes_at_once_do_not_see_each_other(engine: local.Local, code: jobs.Code) -> None:
    script = "echo $BUILD > /tmp/x; echo $BUILD > ~/x; echo $BUILD > x; sleep 0.1; cat /tmp/x ~/x x | sort -u"
    requests = [jobs.make(code.source(), script, env={"BUILD": str(number)}) for number in range(8)]
    told = await asyncio.gather(*(jobs.run(engine, request) for request in requests))
    assert [one.log for one in told] == [f"{number}\n" for number in range(8)]


CALLS = """
import ctypes, errno, os, platform
libc = ctypes.CDLL(None, use_errno=True)
numbers = {"x86_64": (250, 321, 323, 425, 272, 435, 16, 56), "aarch64": (219, 280, 282, 425, 97, 435, 29, 220)}
keyctl, bpf, userfaultfd, io_uring, unshare, clone3, ioctl, clone = numbers[platform.machine()]
terminal, _ = os.openpty()
for name, call in {
    "keyctl": (keyctl, 0, -3, 0), "bpf": (bpf, 0, 0, 0), "userfaultfd": (userfaultfd, 0), "io_uring": (io_uring, 1, 0),
    "unshare": (unshare, 0x10000000), "clone3": (clone3, 0, 0), "clone": (clone, 0x10000000, 0, 0, 0, 0),
    "typing": (ioctl, terminal, 0x5412, b"x"), "typing, unseen upper half": (ioctl, terminal, 0x100005412, b"x"),
    "pasting": (ioctl, terminal, 0x541C, b"x"), "x32": (0x40000000 + 39,),
}.items():
    arguments = [ctypes.c_long(value) if isinstance(value, int) else value for value in call]
    result = libc.syscall(*arguments)
    print(name, "done" if result >= 0 else errno.errorcode[ctypes.get_errno()])
"""


async def test_t53_t58_calls_that_break_kernels_are_refused_and_what_builds_need_is_not(
    engine: local.Local, code: jobs.Code
) -> None:
    script = f"cat > calls.py <<'EOF'\n{CALLS}\nEOF\n/usr/bin/python3 calls.py"
    refused = (await said(engine, code, script)).splitlines()
    assert refused == [
        *(f"{name} EPERM" for name in ("keyctl", "bpf", "userfaultfd", "io_uring", "unshare")),
        *("clone3 ENOSYS", "clone EPERM", "typing EPERM", "typing, unseen upper half EPERM", "pasting EPERM"),
        "x32 ENOSYS",
    ]
    threads = "import threading; t = threading.Thread(target=print, args=('threads work',)); t.start(); t.join()"
    assert await said(engine, code, f'/usr/bin/python3 -c "{threads}"; cat /dev/null | cat') == "threads work\n"
    assert "Seccomp:\t2" in await said(engine, code, "cat /proc/self/status")


def test_every_jump_of_the_filter_ends_in_an_answer() -> None:
    for machine in ("x86_64", "aarch64"):
        lines = list(struct.iter_unpack("=HBBI", seccomp.program(machine)))
        for number, (code, if_true, if_false, _) in enumerate(lines):
            if code in (0x15, 0x35, 0x45):
                assert number + 1 + max(if_true, if_false) < len(lines)
        assert lines[-1] == (0x06, 0, 0, 0x7FFF0000)
        assert len(lines) < 4096
    assert seccomp.program("riscv64") == b""

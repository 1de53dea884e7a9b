"""Attempts to get out of the sandbox, made from inside: what an operator runs to see what it holds here.

A probe is a script that prints a line for each hole that it finds, and nothing where it finds none. They run in order,
as the steps of one job of a stranger, and none of them does harm where it succeeds.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from bot.engines.contract import Probed
from bot.engines.local import containers, launch, probe, spawn
from bot.engines.local.supervisor import egress


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt."""

    name: str
    script: str
    #: A program without which it cannot be made.
    needs: str | None = None


_NAMESPACES = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup")
#: Asks the proxy of the egress list, where a job has one, for a way to an address.
_ASK = (
    'ask() { (exec 3<> /dev/tcp/127.0.0.1/3128 && printf "CONNECT $1 HTTP/1.1\\r\\n\\r\\n" >&3'
    " && head -1 <&3 | grep ' 200 '); }"
)
#: Each with what stands before a `:` as its name.
_PROBES = (
    ("a file of this host", 'cat "$CANARY"'),
    ("the service's data folder", 'ls -d "$DATA_DIR"'),
    (
        "passwords and keys of this host",
        "ls -d /etc/shadow /etc/gshadow /etc/ssh /etc/machine-id /root/.*/",
    ),
    ("homes of this host", "ls -A /home | grep -vx build; ls -A /root"),
    ("logs, mail and databases of this host", "ls -A /var | grep -vx tmp; ls -d /boot /srv /opt /mnt /media"),
    ("the kernel's settings below /sys", "ls -A /sys"),
    (
        "sockets of services, such as Docker's",
        "find /run /tmp /var /home /dev -type s; ls -d /run/docker.sock /run/dbus",
    ),
    ("abstract sockets of this host", 'grep -F "$SOCKET" /proc/net/unix'),
    ("descriptors that were left open", "ls /proc/self/fd | grep -vx '[0-3]'"),
    (
        "variables of the service",
        "env | cut -d= -f1 | grep -vx BUILDHOOK_RESULTS | grep -E '^BUILDHOOK_|TOKEN|SECRET|PASSWORD|PRIVATE'",
    ),
    ("processes of this host", 'cat "/proc/$PID/cmdline" | grep -a python; ls -d /proc/[0-9]* | sed 1,8d'),
    ("the name of this host", 'cat /proc/sys/kernel/hostname | grep -Fx "$HOST"'),
    *(
        (f"the {kind} namespace of this host", f'readlink /proc/self/ns/{kind} | grep -Fx "$NS_{kind.upper()}"')
        for kind in _NAMESPACES
    ),
    ("network interfaces", "sed 1,2d /proc/net/dev | grep -v ' *lo:'"),
    ("routes, to a metadata service for one", "sed 1d /proc/net/route; grep -v lo$ /proc/net/ipv6_route"),
    ("a port of this host's loopback", '(exec 3<> "/dev/tcp/127.0.0.1/$PORT") && echo reached'),
    (
        "a port of this host's loopback, by a proxy",
        f'{_ASK}; ask "127.0.0.1:$PORT"; ask "[::ffff:127.0.0.1]:$PORT"',
    ),
    ("a metadata service, by a proxy", f"{_ASK}; ask 169.254.169.254:80; ask '[fd00:ec2::254]:80'"),
    ("the terminal", "(: < /dev/tty) && echo there is one; tty | grep -v 'not a tty'"),
    ("capabilities", "grep -E '^Cap(Inh|Prm|Eff|Bnd|Amb):' /proc/self/status | grep -v '0000000000000000'"),
    ("new privileges", "grep '^NoNewPrivs:' /proc/self/status | grep -v 1$"),
    ("system calls without a filter", "grep '^Seccomp:' /proc/self/status | grep -v 2$"),
    ("programs that change the user", "cut -d' ' -f2,4 /proc/self/mounts | grep -v nosuid"),
    ("the user that the service runs as", 'grep "^Uid:" /proc/self/status | grep -v 1000'),
    ("user namespaces of its own: unshare", "unshare --user true && echo made"),
    ("mount namespaces of its own: unshare", "unshare --mount true && echo made"),
    ("mounts of its own: mount", "mkdir -p /tmp/m; mount -t tmpfs none /tmp/m && echo mounted"),
    ("mounts made writable: mount", "mount -o remount,bind,rw /usr && echo remounted"),
    ("mounts taken away: umount", "umount /etc/passwd && echo unmounted"),
    ("another root: chroot", "chroot /tmp true; test $? -eq 127 && echo changed"),
    ("device nodes: mknod", "mknod /tmp/b b 8 0 && echo made; mknod /tmp/c c 1 1 && echo made"),
    ("raw devices", "ls /dev/mem /dev/kmem /dev/port /dev/kvm /dev/fuse /dev/sd* /dev/vd* /dev/nvme* /dev/loop*"),
    ("the kernel's memory", "head -c 1 /proc/kcore | tr -d '\\0' | head -c 1; grep -m1 -v '^0* ' /proc/kallsyms"),
    ("the kernel's messages: dmesg", "dmesg | head -1"),
    (
        "settings of the kernel",
        "for file in kernel/hostname kernel/core_pattern vm/overcommit_memory net/ipv4/ip_forward; do"
        ' test -w "/proc/sys/$file" && value=$(cat "/proc/sys/$file") && (echo "$value" > "/proc/sys/$file")'
        ' && echo "wrote $file"; done; test -w /proc/sysrq-trigger && (echo h > /proc/sysrq-trigger) && echo sysrq',
    ),
    (
        "files of the system, to write",
        "for place in / /usr /usr/bin /etc /run /run/steps /home /var; do"
        ' (: > "$place/.buildhook-probe") && echo "$place" && rm -f "$place/.buildhook-probe"; done;'
        ' for file in /etc/passwd /etc/resolv.conf /run/steps/*; do (: >> "$file") && echo "$file"; done',
    ),
    (
        "its own mount points, to replace",
        "for p in /workspace /home/build /run /etc /tmp; do mv $p $p.x && echo $p; done",
    ),
    ("core dumps, open files and processes without limit", "ulimit -c | grep -vx 0; ulimit -n | grep -x unlimited"),
    ("a process that outlives its step", "(setsid sleep 31337 < /dev/null > /dev/null 2>&1 &) ; sleep 0.1"),
    ("the process of the step before", "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -a 'sleep 3133[7]'"),
    ("what another job left", "ls -A /tmp /home/build /run/results /dev/shm | grep -v ':$' | grep -vxE 'm|'"),
)


_NO_MOUNTS = (
    "cut -d' ' -f2 /proc/self/mounts | grep -vxE '/|/(proc|dev|sys)(/.*)?|/workspace|/home/build|/tmp|"
    "/run/(steps|results|objects|secrets|.containerenv)|/etc/(hosts|hostname|resolv.conf|passwd|group)'"
)
#: What is asked in another way in a container, which has the files of its image.
_IN_CONTAINER = {
    "passwords and keys of this host": "cat /etc/shadow /etc/gshadow /etc/ssh/*key; "
    'test -s /etc/machine-id && grep -Fx "$MACHINE" /etc/machine-id',
    # Root's Podman leaves it there as a user like any other; so nothing must give it a capability.
    "the user namespace of this host": 'readlink /proc/self/ns/user | grep -qFx "$NS_USER"'
    " && grep -E '^Cap(Prm|Bnd):.*[1-9a-f]' /proc/self/status",
    "homes of this host": _NO_MOUNTS,
    "logs, mail and databases of this host": _NO_MOUNTS,
    # No program of the image can do it either: see the probe for new privileges.
    "programs that change the user": "grep -E ' /(workspace|home/build|tmp|run/results) ' /proc/self/mounts"
    " | grep -v nosuid",
    "the user that the service runs as": "grep -qE '^ *0 +0 ' /proc/self/uid_map"
    " && grep -E '^Uid:.*[[:space:]]0([[:space:]]|$)' /proc/self/status",
    "files of the system, to write": "for place in / /usr /usr/bin /bin /etc /run /run/steps /home /var; do"
    ' (: > "$place/.buildhook-probe") && echo "$place" && rm -f "$place/.buildhook-probe"; done;'
    ' for file in /etc/passwd /etc/resolv.conf /etc/hosts /run/steps/*; do (: >> "$file") && echo "$file"; done',
}


def probes(*, is_in_container: bool = False) -> tuple[Probe, ...]:
    """All of them, in order."""
    found = []
    for name, script in _PROBES:
        words, _, needs = name.partition(": ")
        asked = _IN_CONTAINER.get(words, script) if is_in_container else script
        found.append(Probe(name=words, script=asked, needs=needs or None))
    return tuple(found)


def run(
    folder: Path,
    manner: launch.Manner,
    *,
    by: spawn.Supervisors,
    data_dir: Path,
    boxes: containers.Boxes | None = None,
) -> tuple[Probed, ...]:
    """Make all attempts, in a folder below `folder`. To be called from a thread.

    :param boxes: the container in which to make them; None for the sandbox.

    :raises OSError: if they cannot be begun.
    """
    wanted = probes(is_in_container=boxes is not None)
    with _bait(folder) as bait:
        env = {**bait, "DATA_DIR": str(data_dir)}
        steps = [launch.Step(script=_script(one), env=env, folder=".", may_fail=True) for one in wanted]
        tried = probe.run(folder, manner, steps, by=by, boxes=boxes, seconds=_SECONDS)
    return tuple(
        _judged(one, tried.said.get(index), tried.states.get(index, ""), why=tried.problem)
        for index, one in enumerate(wanted)
    )


#: How long all of them may take.
_SECONDS = 300.0
_UNTRIED = "?"


def _script(one: Probe) -> str:
    guard = ""
    if one.needs is not None:
        guard = f"command -v {one.needs} > /dev/null || {{ echo '{_UNTRIED}'; exit 0; }}\n"
    return f"set +e\n{guard}{{ {one.script}\n}} 2> /dev/null\nexit 0"


def _judged(one: Probe, said: str | None, state: str, *, why: str) -> Probed:
    if said is None or state != "passed":
        return Probed(name=one.name, is_held=False, said=why or "It did not come to its end.")
    # What was refused is told in the log: it was held.
    lines = [line for line in said.strip().split("\n") if not line.startswith(egress.SIGN)]
    if lines[:1] == [_UNTRIED]:
        return Probed(name=one.name, is_held=None, said=f"There is no `{one.needs}` here to try it with.")
    found = "\n".join(lines).strip()
    return Probed(name=one.name, is_held=not found, said=found[:500])


@contextlib.contextmanager
def _bait(folder: Path) -> Iterator[Mapping[str, str]]:
    """Things of this host that a probe must not reach, by the variables that name them."""
    mark = f"buildhook-{secrets.token_hex(8)}"
    canary = folder / f"canary-{mark}"
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as abstract,
    ):
        abstract.bind(f"\0{mark}")
        abstract.listen()
        canary.write_text(mark, encoding="ascii")
        try:
            yield {
                "CANARY": str(canary),
                "SOCKET": mark,
                "PORT": str(listening.getsockname()[1]),
                "PID": str(os.getpid()),
                "HOST": socket.gethostname(),
                "MACHINE": _machine(),
                **{f"NS_{kind.upper()}": os.readlink(f"/proc/self/ns/{kind}") for kind in _NAMESPACES},
            }
        finally:
            canary.unlink(missing_ok=True)


def _machine() -> str:
    try:
        return Path("/etc/machine-id").read_text(encoding="ascii").strip() or "none"
    except OSError:
        return "none"

"""The system calls that a build is refused: those that no build needs and that kernels were broken through.

What is left is all that compilers, interpreters, debuggers and tests use. The refusal comes as an error, not as a kill,
so that programs that merely try get along without.
"""

from __future__ import annotations

import struct
from typing import Any

# https://www.kernel.org/doc/html/latest/userspace-api/seccomp_filter.html
_LOAD, _JUMP_EQUAL, _JUMP_GREATER, _JUMP_SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_EPERM, _ENOSYS = 1, 38
#: Offsets in `struct seccomp_data`: number, architecture, lower halves of the first two arguments.
_NUMBER, _ARCHITECTURE, _FIRST, _SECOND = 0, 4, 16, 24
#: Numbers from here on are x86-64's x32 calls: the same calls by another name.
_X32 = 0x40000000
#: TIOCSTI types into a terminal, TIOCLINUX pastes into it.
_TERMINAL_COMMANDS = (0x5412, 0x541C)
_CLONE_NEWUSER = 0x10000000

#: machine -> audit architecture, and the numbers of: clone, clone3, ioctl; then of what is refused.
_MACHINES = {
    "x86_64": (
        0xC000003E,
        (56, 435, 16),
        {
            "acct": 163,
            "add_key": 248,
            "bpf": 321,
            "delete_module": 176,
            "finit_module": 313,
            "init_module": 175,
            "io_uring_setup": 425,
            "io_uring_enter": 426,
            "io_uring_register": 427,
            "ioperm": 173,
            "iopl": 172,
            "kcmp": 312,
            "kexec_file_load": 320,
            "kexec_load": 246,
            "keyctl": 250,
            "lookup_dcookie": 212,
            "modify_ldt": 154,
            "mount": 165,
            "name_to_handle_at": 303,
            "open_by_handle_at": 304,
            "perf_event_open": 298,
            "pivot_root": 155,
            "quotactl": 179,
            "request_key": 249,
            "setns": 308,
            "swapoff": 168,
            "swapon": 167,
            "syslog": 103,
            "umount2": 166,
            "unshare": 272,
            "userfaultfd": 323,
            "uselib": 134,
            "vhangup": 153,
        },
    ),
    "aarch64": (
        0xC00000B7,
        (220, 435, 29),
        {
            "acct": 89,
            "add_key": 217,
            "bpf": 280,
            "delete_module": 106,
            "finit_module": 273,
            "init_module": 105,
            "io_uring_setup": 425,
            "io_uring_enter": 426,
            "io_uring_register": 427,
            "kcmp": 272,
            "kexec_file_load": 294,
            "kexec_load": 104,
            "keyctl": 219,
            "lookup_dcookie": 18,
            "mount": 40,
            "name_to_handle_at": 264,
            "open_by_handle_at": 265,
            "perf_event_open": 241,
            "pivot_root": 41,
            "quotactl": 60,
            "request_key": 218,
            "setns": 268,
            "swapoff": 225,
            "swapon": 224,
            "syslog": 116,
            "umount2": 39,
            "unshare": 97,
            "userfaultfd": 282,
            "vhangup": 58,
        },
    ),
}
#: The same on every machine.
_NEW_NAMES = {
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "fspick": 433,
    "mount_setattr": 442,
    "quotactl_fd": 443,
}


def program(machine: str) -> bytes:
    """The filter as bubblewrap takes it, for `uname -m`; nothing for a machine that we do not know."""
    if machine not in _MACHINES:
        return b""
    architecture, (clone, clone3, ioctl), refused = _MACHINES[machine]
    lines = [_line(_LOAD, _ARCHITECTURE), *_unless(architecture, _ENOSYS), _line(_LOAD, _NUMBER)]
    lines += [_line(_JUMP_GREATER, _X32, 0, 1), _refuse(_ENOSYS)]
    # Its flags lie in memory where no filter can see them; C libraries go back to clone.
    lines += _when(clone3, _ENOSYS)
    for number in (*refused.values(), *_NEW_NAMES.values()):
        lines += _when(number, _EPERM)
    # Skips its own block where it is another call; the number stays loaded for the next question.
    lines += [_line(_JUMP_EQUAL, clone, 0, 4), _line(_LOAD, _FIRST), _line(_JUMP_SET, _CLONE_NEWUSER, 0, 1)]
    lines += [_refuse(_EPERM), _line(_RETURN, _ALLOW)]
    lines += [_line(_JUMP_EQUAL, ioctl, 0, 5), _line(_LOAD, _SECOND)]
    for command in _TERMINAL_COMMANDS:
        lines += _when(command, _EPERM)
    return b"".join([*lines, _line(_RETURN, _ALLOW)])


def _line(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _refuse(number: int) -> bytes:
    return _line(_RETURN, _ERRNO | number)


def _when(value: int, number: int) -> list[bytes]:
    return [_line(_JUMP_EQUAL, value, 0, 1), _refuse(number)]


def _unless(value: int, number: int) -> list[bytes]:
    return [_line(_JUMP_EQUAL, value, 1, 0), _refuse(number)]


def profile(machine: str) -> dict[str, Any]:
    """The same filter as a container's runtime takes it; for a machine that we do not know it refuses by names alone.

    https://github.com/opencontainers/runtime-spec/blob/main/config-linux.md#seccomp
    """
    _, _, refused = _MACHINES.get(machine, _MACHINES["x86_64"])
    new_user = {"index": 0, "value": _CLONE_NEWUSER, "valueTwo": _CLONE_NEWUSER, "op": "SCMP_CMP_MASKED_EQ"}
    found: list[dict[str, Any]] = [
        {"names": sorted({*refused, *_NEW_NAMES}), "errnoRet": _EPERM},
        {"names": ["clone3"], "errnoRet": _ENOSYS},
        {"names": ["clone"], "errnoRet": _EPERM, "args": [new_user]},
    ]
    found += [
        {"names": ["ioctl"], "errnoRet": _EPERM, "args": [{"index": 1, "value": command, "op": "SCMP_CMP_EQ"}]}
        for command in _TERMINAL_COMMANDS
    ]
    return {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"action": "SCMP_ACT_ERRNO", **one} for one in found],
    }

"""The sandbox of a step: which arguments make it, which parts of this machine it shows, and whether it works here."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path

import msgspec

from bot.choices import Network

#: Where things are inside.
WORKSPACE, HOME, STEPS, OBJECTS = "/workspace", "/home/build", "/run/steps", "/run/objects"
RESULTS = "/run/results"
#: Below it a job finds each place that it reads, by its name.
PLACES = "/run"
#: Who a build is inside; outside it is an unprivileged user.
_IDENTITY = "1000"
#: Unprivileged users of builds where the service is root: one for each job, as far as they go.
_FIRST_UID, _UIDS = 64000, 1000
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: What of /etc a build may see, where it is there: nothing that tells about this host, and no secrets.
_ETC = (
    "alternatives",
    "ca-certificates",
    "ca-certificates.conf",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "magic",
    "mime.types",
    "pki/ca-trust",
    "pki/tls/certs",
    "protocols",
    "services",
    "ssl/cert.pem",
    "ssl/certs",
    "ssl/openssl.cnf",
    "timezone",
)
#: What `/etc/hosts` says.
HOSTS = "127.0.0.1 localhost buildhook\n::1 localhost\n"
_WRITTEN = {
    "passwd": "root:x:0:0:root:/root:/sbin/nologin\n"
    f"build:x:{_IDENTITY}:{_IDENTITY}:build:{HOME}:/bin/sh\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n",
    "group": f"root:x:0:\nbuild:x:{_IDENTITY}:\nnogroup:x:65534:\n",
    "hosts": HOSTS,
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    "resolv.conf": "",
    # slirp4netns answers there and asks this host's own resolver.
    "resolv.conf.full": "nameserver 10.0.2.3\n",
}
#: What a network that reaches the outside must still not reach: link-local and the clouds' metadata services. The
#: host's own addresses are added when a job starts; its loopback has no way in.
FORBIDDEN = ("169.254.0.0/16", "100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32")
#: What goes before each step's script, inside the sandbox. It tells by descriptor 3 that the code is checked out (`c`)
#: and that the step begins (`b`), and closes it. Git gets an environment of its own: the step's could mislead it.
#: What is checked out besides goes by a list, three lines for each thing, see `extras`; what that needs stays in a
#: shell of its own. Where something fails its status is kept: a signal may tell which limit was met. The arguments:
#: workspace, folder in it, commit to check out or nothing, git, the list or nothing, then the program.
PRELUDE = """
if [ -n "$3" ]; then (
    workspace=$1 commit=$3 git=$4 list=$5 PATH=/usr/bin:/bin
    run() {
        env -i PATH=/usr/bin:/bin HOME=/nonexistent LC_ALL=C.UTF-8 GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null \\
            GIT_ATTR_NOSYSTEM=1 GIT_NO_REPLACE_OBJECTS=1 GIT_LFS_SKIP_SMUDGE=1 GIT_ALLOW_PROTOCOL=none \\
            "$git" -c core.hooksPath=/dev/null -c core.fsmonitor=false -c core.attributesFile=/dev/null \\
            -c core.protectHFS=true -c core.protectNTFS=true -c submodule.recurse=false "$@" 3>&-
    }
    cd -- "$workspace" || exit 1
    run read-tree --reset -u "$commit" || exit
    [ -n "$list" ] || exit 0
    while IFS= read -r kind && IFS= read -r what && IFS= read -r path; do
        cd -- "$workspace/" || exit 1
        case $kind in
        file)
            cp -- "$what" "$workspace/$path" 3>&- || exit ;;
        submodule)
            set -- $what
            cd -- "./$path" || exit 1
            printf 'gitdir: %s.git/modules/%s\\n' "$3" "$1" > .git || exit 1
            run --git-dir="$workspace/.git/modules/$1" --work-tree=. read-tree --reset -u "$2" < /dev/null || exit ;;
        kept)
            cd -- "./$path" || exit 1
            run update-index -z --assume-unchanged --stdin < "$what" || exit 1 ;;
        esac
    done < "$list"
) || exit; fi
printf c >&3
cd -- "$1/$2" || exit 1
shift 5
printf b >&3
exec "$@" 3>&-
"""


class Tools(msgspec.Struct, frozen=True, kw_only=True):
    """Programs of this machine, by their absolute path; None where there is none."""

    git: str | None
    bubblewrap: str | None
    slirp4netns: str | None
    ip: str | None
    #: bash where there is one, else sh.
    shell: str
    sh: str


def find_tools() -> Tools:
    """Look for the programs in the folders that a sandbox shows too."""

    def which(name: str) -> str | None:
        return shutil.which(name, path=SEARCH_PATH)

    sh = which("sh") or "/bin/sh"
    return Tools(
        git=which("git"),
        bubblewrap=which("bwrap"),
        slirp4netns=which("slirp4netns"),
        ip=which("ip"),
        shell=which("bash") or sh,
        sh=sh,
    )


def uid(job_id: str) -> int | None:
    """Which user a job's processes become; None where the service is unprivileged and they stay what it is."""
    if os.geteuid() != 0 or not _can_become_others():
        return None
    return _FIRST_UID + sum(ord(letter) * (7 * place + 1) for place, letter in enumerate(job_id)) % _UIDS


def _can_become_others() -> bool:
    # In a user namespace root may be alone.
    rows = (line.split() for line in Path("/proc/self/uid_map").read_text(encoding="ascii").splitlines())
    return any(int(first) <= _FIRST_UID and int(first) + int(count) >= _FIRST_UID + _UIDS for first, _, count in rows)


#: Where in `command` the commit stands that is to be checked out, or nothing.
CHECKOUT_AT = 5


def command(*, tools: Tools, workspace: str, folder: str, script: str, shell: str | None, more: str = "") -> list[str]:
    """What runs inside for one step, without the commit to check out.

    :param more: where the list of what is checked out besides is; nothing where there is no more.
    """
    program = shell_command(shell, script, tools=tools)
    return beside(tools=tools, workspace=workspace, folder=folder, more=more, program=program)


def beside(*, tools: Tools, workspace: str, folder: str = ".", more: str, program: list[str]) -> list[str]:
    """What runs inside for any program; arguments as of `command`."""
    return ["-c", PRELUDE, "buildhook", workspace, folder, "", tools.git or "git", more, *program]


def shell_command(shell: str | None, script: str, *, tools: Tools) -> list[str]:
    """The program of a step's `shell` and its arguments; one that is not there is for the step to tell.

    https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#jobsjob_idstepsshell
    """
    match shell:
        case None:
            return [tools.shell, "-e", script]
        case "bash":
            return ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", script]
        case "sh":
            return ["sh", "-e", script]
        case "python":
            return ["python" if shutil.which("python", path=SEARCH_PATH) else "python3", script]
        case "pwsh":
            return ["pwsh", "-command", f". '{script}'"]
        case _:
            return [word.replace("{0}", script) for word in shell.split()]


def write_etc(folder: Path) -> None:
    """Write the files of /etc that a sandbox gets instead of this host's own."""
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    folder.chmod(0o755)
    for name, text in _WRITTEN.items():
        path = folder / name
        path.write_text(text, encoding="ascii")
        path.chmod(0o644)


def options(*, places: Mapping[str, str], env: Mapping[str, str], reach: Network, can_nest: bool) -> list[str]:
    """Arguments of bubblewrap.

    :param places: `box` (with `workspace`, `home`, `tmp`, `results` and `steps`), `etc`, and what it only reads.
    :param env: the whole environment of the step.
    :param reach: what is outside of it; for all but `none` the network is the supervisor's own.
    :param can_nest: leave a build the making of user namespaces, for a bubblewrap too old to take it away.
    """
    box, etc = places["box"], places["etc"]
    found = ["--unshare-user", "--uid", _IDENTITY, "--gid", _IDENTITY]
    found += [] if can_nest else ["--disable-userns"]
    found += ["--unshare-pid", "--unshare-ipc", "--unshare-cgroup-try", "--unshare-uts", "--hostname", "buildhook"]
    found += ["--unshare-net"] if reach is Network.NONE else []
    found += ["--new-session", "--die-with-parent", "--cap-drop", "ALL", "--clearenv"]
    for name, value in env.items():
        found += ["--setenv", name, value]
    found += ["--ro-bind", "/usr", "/usr", *_top_folders(), "--proc", "/proc", "--dev", "/dev"]
    found += [
        "--perms",
        "0755",
        "--dir",
        "/etc",
        "--perms",
        "0755",
        "--dir",
        "/run",
        "--perms",
        "0755",
        "--dir",
        "/var",
    ]
    for name in _ETC:
        found += ["--ro-bind", f"/etc/{name}", f"/etc/{name}"] if os.path.exists(f"/etc/{name}") else []
    for name in ("passwd", "group", "hosts", "nsswitch.conf"):
        found += ["--ro-bind", f"{etc}/{name}", f"/etc/{name}"]
    found += ["--ro-bind", f"{etc}/resolv.conf{'.full' if reach is Network.FULL else ''}", "/etc/resolv.conf"]
    # Every mount point lies on the sandbox's own empty file system, never in a folder that a build can write.
    found += ["--bind", f"{box}/tmp", "/tmp", "--symlink", "/tmp", "/var/tmp"]  # noqa: S108 (a folder of the job)
    found += ["--perms", "0755", "--dir", "/home", "--bind", f"{box}/home", HOME]
    found += ["--bind", f"{box}/workspace", WORKSPACE, "--ro-bind", f"{box}/steps", STEPS]
    found += ["--bind", f"{box}/results", RESULTS]
    for name in places.keys() - {"box", "etc"}:
        found += ["--ro-bind", places[name], f"{PLACES}/{name}"]
    return [*found, "--remount-ro", "/", "--chdir", "/"]


def _top_folders() -> list[str]:
    found: list[str] = []
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        path = Path("/", name)
        if path.is_symlink():
            found += ["--symlink", os.readlink(path), str(path)]
        elif path.is_dir():
            found += ["--ro-bind", str(path), str(path)]
    return found


def environment(*given: Mapping[str, str], home: str, temporary: str, workspace: str, shell: str) -> dict[str, str]:
    """A step's whole environment: nothing of the service's own; what is given later wins."""
    found = {
        "CI": "true",
        "GITHUB_WORKSPACE": workspace,
        "HOME": home,
        "LANG": "C.UTF-8",
        "LOGNAME": "build",
        "PATH": SEARCH_PATH,
        "SHELL": shell,
        "TMPDIR": temporary,
        "USER": "build",
    }
    for values in given:
        found |= values
    return found


def trouble(tools: Tools, *, reach: Network) -> str | None:
    """Why no sandbox can be made here as far as one can see without trying, and how to mend it."""
    if tools.bubblewrap is None:
        return "bubblewrap is not installed: install it (apt-get install bubblewrap), or set SANDBOX=podman."
    if os.stat(tools.bubblewrap).st_mode & stat.S_ISUID:
        return f"{tools.bubblewrap} is setuid, which is not safe: run chmod u-s {tools.bubblewrap}."
    if reach is Network.FULL and (tools.slirp4netns is None or tools.ip is None):
        return (
            "the setting NETWORK=full needs slirp4netns and ip: install them (apt-get install slirp4netns iproute2), "
            "or set NETWORK to list or none."
        )
    return None


def advice() -> str:
    """How to let this machine make sandboxes, from what its kernel says."""
    found: list[str] = []
    for name, bad in (
        ("kernel.apparmor_restrict_unprivileged_userns", "1"),
        ("kernel.unprivileged_userns_clone", "0"),
        ("user.max_user_namespaces", "0"),
    ):
        try:
            value = Path("/proc/sys", *name.split(".", 1)).read_text(encoding="ascii").strip()
        except OSError:
            continue
        if value == bad:
            mended = {"1": "0", "0": "1"}[bad] if "max" not in name else "15000"
            found.append(f"run sysctl -w {name}={mended}")
    found.append(
        "in a container, allow it to make namespaces (for Docker: --security-opt seccomp=unconfined "
        "--security-opt apparmor=unconfined --security-opt systempaths=unconfined)"
    )
    found.append("or set SANDBOX=podman, so that jobs run in containers (see docs/engines.md)")
    return "; ".join(found)

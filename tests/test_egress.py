"""The egress list: which hosts an entry names, and which it does not."""

from __future__ import annotations

import hypothesis
import pytest
from hypothesis import strategies

from bot import egress, policy, policy_network


def hosts(*allow: str, private: tuple[str, ...] = ()) -> egress.Hosts:
    return egress.Hosts(allow, allow_private=private)


def allows(listed: egress.Hosts, authority: str) -> bool:
    host, port = egress.split(authority)
    return listed.judge(egress.normal(host), port).rule is not None


@pytest.mark.parametrize(
    ("listed", "asked"),
    [
        ("pypi.org", "pypi.org:443"),
        ("PyPI.org.", "pypi.org:443"),
        ("pypi.org", "PYPI.ORG.:443"),
        ("*.pythonhosted.org", "files.pythonhosted.org:443"),
        ("*.pythonhosted.org", "a.b.pythonhosted.org:443"),
        ("deb.debian.org:80", "deb.debian.org:80"),
        ("93.184.216.34", "93.184.216.34:443"),
        ("[2606:2800:0220:0001::1]:8443", "[2606:2800:220:1::1]:8443"),
        ("registry_1.example", "registry_1.example:443"),
        ("localhost:80", "localhost:80"),
    ],
)
def test_t55_what_an_entry_names(listed: str, asked: str) -> None:
    assert allows(hosts(listed), asked)


@pytest.mark.parametrize(
    ("listed", "asked"),
    [
        ("pypi.org", "pypi.org:80"),
        ("pypi.org:80", "pypi.org:443"),
        ("pypi.org", "evil.pypi.org:443"),
        ("pypi.org", "pypi.org.evil.example:443"),
        ("pypi.org", "evilpypi.org:443"),
        ("*.pythonhosted.org", "pythonhosted.org:443"),
        ("*.pythonhosted.org", "evilpythonhosted.org:443"),
        ("*.pythonhosted.org", "pythonhosted.org.evil.example:443"),
        ("93.184.216.34", "93.184.216.35:443"),
        ("93.184.216.34", "[::ffff:93.184.216.34]:443"),
        ("*.example", "10.0.0.1:443"),
        ("*.example", "[2606::1]:443"),
    ],
)
def test_t55_what_an_entry_does_not_name(listed: str, asked: str) -> None:
    assert not allows(hosts(listed), asked)


@pytest.mark.parametrize(
    "text",
    [
        *("", ".", "*", "*.", "*.*", "a.*.b", "a b", "a/b", "https://pypi.org", "user@pypi.org", "a..b", "-a.example"),
        *("pypi.org:", "pypi.org:0", "pypi.org:65536", "pypi.org:+80", "pypi.org: 80", "pypi.org:80:80", "pypi.org:٨"),
        *(
            "*.10.0.0.1",
            "10.0.0",
            "127.1",
            "0x7f.1",
            "2130706433",
            "a.0x7f",
            "010.0.0.1",
            "[::1",
            "[::1]x",
            "[x]",
            "::1",
        ),
        *("[fe80::1%eth0]", "fe80::1%eth0", "a" * 64 + ".example", ".".join(["a" * 60] * 5), "exa\u200cmple.org"),
        *("127.0.0.1", "[::1]", "169.254.169.254", "[::ffff:127.0.0.1]", "0.0.0.0", "224.0.0.1", "168.63.129.16"),
        *("\u212aiwi.example", "pypi.org\n", "pypi\x00.org"),
    ],
)
def test_t55_what_is_no_entry(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        egress.entry(text)


def test_t55_only_what_is_said_to_be_private_may_be() -> None:
    listed = hosts("pypi.org", "mirror.example:80", private=("mirror.example", "*.corp.example:8443"))

    def may_be_private(host: str, port: int) -> bool | None:
        rule = listed.judge(host, port).rule
        return None if rule is None else rule.allow_private

    assert may_be_private("pypi.org", 443) is False
    assert may_be_private("mirror.example", 443) is True
    assert may_be_private("mirror.example", 80) is False
    assert may_be_private("a.corp.example", 8443) is True
    assert may_be_private("a.corp.example", 443) is None
    assert all(not one.allow_loopback for one in [listed.judge("mirror.example", 443).rule] if one is not None)


def test_a_refusal_says_which_port_is_listed() -> None:
    assert hosts("pypi.org", "pypi.org:80").judge("pypi.org", 22).why.endswith("with port 80 and 443 only")
    assert "is not in the list" in hosts("pypi.org").judge("evil.example", 443).why


LABELS = strategies.from_regex(r"[a-z0-9_]([a-z0-9_-]{0,10}[a-z0-9_])?", fullmatch=True)
NAMES = strategies.lists(LABELS, min_size=1, max_size=4).map(".".join).filter(lambda name: not name[-1].isdigit())


@hypothesis.given(NAMES, NAMES, strategies.integers(1, 65535), strategies.integers(1, 65535))
def test_t55_an_entry_names_itself_and_nothing_else(name: str, other: str, port: int, other_port: int) -> None:
    try:
        listed = hosts(f"{name.upper()}.:{port}")
    except ValueError:
        # Such as `a.0x1`, which programs take for an address.
        return
    assert allows(listed, f"{name}:{port}")
    if (other, other_port) != (name, port):
        assert not allows(listed, f"{other}.x:{other_port}") or f"{other}.x" == name
        assert listed.judge(other, other_port).rule is None
    below = hosts(f"*.{name}:{port}")
    assert allows(below, f"{other}.{name}:{port}")
    assert not allows(below, f"{name}:{port}")
    assert not allows(below, f"{other}{name}x:{port}")


@hypothesis.given(strategies.text())
def test_any_text_is_an_entry_or_none(text: str) -> None:
    try:
        found = egress.entry(text)
    except ValueError:
        return
    assert egress.entry(str(found)) == found
    assert str(found).isascii()


def network(text: str) -> policy_network.Network:
    found = policy.parse(f"[network]\n{text}")
    assert isinstance(found, policy.Policy), found
    return found.network


def test_the_policy_lists_hosts_of_any_script() -> None:
    found = network(
        'allow = ["PyPI.org", "*.bücher.example", "deb.debian.org:80", "straße.example:8443"]\n'
        'allow_private = "mirror.example"\nstrangers = true\n'
    )
    assert found.allow == (
        "pypi.org:443",
        "*.xn--bcher-kva.example:443",
        "deb.debian.org:80",
        "xn--strae-oqa.example:8443",
    )
    assert (found.allow_private, found.strangers) == (("mirror.example:443",), True)
    assert network("") == policy_network.Network()
    assert not network('allow = ["pypi.org"]').strangers


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('allow = ["*"]', "line 2: `network.allow`: `*`: write a host alone, such as `pypi.org`"),
        ('allow = ["https://pypi.org"]', "`https://pypi.org`: write a host alone"),
        ('allow = ["pypi.org:http"]', "write a port from 1 to 65535 behind the colon"),
        ('allow = ["169.254.169.254"]', "no build reaches it, whatever is listed: it is where a cloud keeps"),
        ('allow_private = ["127.0.0.1:80"]', "no build reaches it, whatever is listed: it is this machine's own"),
        ('allow = ["a\u200c.example"]', "it is no name of a host"),
        ("allow = [1]", "write hosts such as"),
        ("allow = []", "an empty list names nothing"),
        ('strangers = "yes"', "write true or false"),
        ('deny = ["pypi.org"]', "`network.deny`: it means nothing"),
        ('allow = ["a.example"' + ', "a.example"' * 1000 + "]", "it has more than 1000 hosts"),
    ],
)
def test_each_mistake_in_the_list_is_told_with_what_to_write(text: str, problem: str) -> None:
    found = policy.parse(f"[network]\n{text}")
    assert isinstance(found, tuple)
    assert problem in str(found[0])

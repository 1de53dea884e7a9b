"""The policy file: what it says, and everything that is wrong with one, each at its line."""

from __future__ import annotations

from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies

from bot import errors, images, policy, trust
from bot.settings import Settings, load, load_policy
from tests import forgeries

WHOLE = """\
# Who may do what.
[sources.shop]
secret_file = ["new.secret", "/run/secrets/old"]
repository = "octo/hello"
ref = "refs/heads/main"
events = ["order.paid", "order.refunded"]
per_minute = 5

[sources."mona"]
secret_env = "MONA_SECRET"
repository = "octo/other"
ref = "refs/tags/v1.0"

[subscribers.chat]
url = "https://example.org/hooks/7?channel=builds"
secret_env = "CHAT_SECRET"
events = "build.finished"

[subscribers.local]
url = "http://127.0.0.1:9000/hook"
secret_env = ["A", "B"]
allow_http = true
allow_private = true

[engines.local]
labels = ["Ubuntu-latest", "x64"]

[engines.cluster]
labels = "gpu"
"""
SOURCE = 'secret_env = "X"\nrepository = "octo/hello"\nref = "refs/heads/main"\n'
SUBSCRIBER = 'secret_env = "X"\nurl = "https://example.org/"\n'


def problems(text: str) -> list[str]:
    found = policy.parse(text)
    assert isinstance(found, tuple), found
    return [str(one) for one in found]


def parsed(text: str) -> policy.Policy:
    found = policy.parse(text)
    assert isinstance(found, policy.Policy), found
    return found


def test_a_whole_file_is_read() -> None:
    found = parsed(WHOLE)
    shop, mona = found.sources["shop"], found.sources["mona"]
    assert shop == policy.Source(
        name="shop",
        repository="octo/hello",
        ref="refs/heads/main",
        secrets=(
            policy.SecretFrom(where=policy.Where.FILE, name="new.secret"),
            policy.SecretFrom(where=policy.Where.FILE, name="/run/secrets/old"),
        ),
        events=frozenset({"order.paid", "order.refunded"}),
        per_minute=5,
    )
    assert (mona.ref, mona.events, mona.per_minute) == ("refs/tags/v1.0", frozenset(), policy.PER_MINUTE)
    chat, local = found.subscribers["chat"], found.subscribers["local"]
    assert (chat.events, chat.allow_http, chat.allow_private) == (frozenset({"build.finished"}), False, False)
    assert (local.events, local.allow_http, local.allow_private) == (frozenset(policy.NOTICES), True, True)
    assert [one.name for one in local.secrets] == ["A", "B"]
    assert list(found.engines.items()) == [
        ("local", policy.Engine(name="local", labels=frozenset({"ubuntu-latest", "x64"}))),
        ("cluster", policy.Engine(name="cluster", labels=frozenset({"gpu"}))),
    ]


@pytest.mark.parametrize(
    ("label", "says"),
    [
        ('""', 'write labels such as `["linux", "x64"]`.'),
        ('"a,b"', "`a,b` is no label: it has at most 100 characters, no comma and no blank."),
        ('"a b"', "`a b` is no label"),
        ("7", 'write labels such as `["linux", "x64"]`.'),
    ],
)
def test_a_label_that_runs_on_could_not_name_is_told_with_its_line(label: str, says: str) -> None:
    (found,) = problems(f"[engines.local]\nlabels = [{label}]\n")
    assert found.startswith(f"line 2: `engines.local.labels`: {says}"), found


def test_t26_trust_is_told_by_ids_and_words() -> None:
    found = parsed('[trust]\napproval = "everyone"\nbots = [49699333]\nlabel = "ok-to-test"\n').trust
    assert found == trust.Policy(approval=trust.Approval.EVERYONE, bots=frozenset({49699333}), label="ok-to-test")
    assert parsed("").trust == trust.Policy()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('approval = "nobody"', 'approval`: write `"outsiders"` or `"everyone"`.'),
        ("approval = 1", "approval`: write"),
        (
            'bots = ["renovate[bot]"]',
            "bots`: write numeric ids such as `[49699333]`: a name can pass to somebody else.",
        ),
        ("bots = 7", "bots`: write a list of ids"),
        ("bots = [true]", "bots`: write numeric ids"),
        ('label = ""', "label`: write a label of 1 to 50 characters"),
        ("lable = 1", "lable`: it means nothing. Did you mean `label`?"),
    ],
)
def test_t26_each_mistake_of_trust_is_told(line: str, says: str) -> None:
    (found,) = problems(f"[trust]\n{line}\n")
    assert found.startswith(f"line 2: `trust.{says}"), found


def test_t114_the_rules_of_images_are_read() -> None:
    found = parsed('[images]\nrequire_digest = true\nallow = ["docker.io/library/*", "ghcr.io/acme/tool"]\n').images
    assert found == images.Rules(require_digest=True, allow=("docker.io/library/*", "ghcr.io/acme/tool"))
    assert parsed("").images == images.DEFAULT


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("require_digest = 1", "require_digest`: write true or false."),
        ('allow = ["python"]', "allow`: `python`: write the whole name with its registry"),
        ('allow = ["*/library/python"]', "allow`: `*/library/python`: write the whole name"),
        ("allow = []", "allow`: an empty list names nothing"),
        ("alow = 1", "alow`: it means nothing. Did you mean `allow`?"),
    ],
)
def test_t114_each_mistake_of_the_rules_of_images_is_told(line: str, says: str) -> None:
    (found,) = problems(f"[images]\n{line}\n")
    assert found.startswith(f"line 2: `images.{says}"), found


def test_an_empty_file_lets_nobody_do_anything() -> None:
    assert parsed("") == policy.Policy()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[sources.shop", "This is not TOML"),
        ("a = 1\na = 2\n", "line 2: This is not TOML"),
        (f"[source.shop]\n{SOURCE}", "line 1: `source` is no section of the policy. Did you mean `sources`?"),
        ("\nsources = 7\n", "line 2: `sources` is a section: write `[sources.NAME]`"),
        ("[sources]\nshop = 7\n", "line 2: `sources.shop`: write `[sources.NAME]`"),
        (f'[sources."a/b"]\n{SOURCE}', "line 1: `sources.a/b`: a name has letters"),
    ],
)
def test_a_mistake_around_the_keys_is_told_with_its_line_and_what_to_write(text: str, says: str) -> None:
    (found,) = problems(text)
    assert found.startswith(says), found


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("", 'reff = "x"', 5, "reff`: it means nothing. Did you mean `ref`?"),
        ("", 'secret = "whsec_x"', 5, "secret`: the secret itself does not"),
        ('secret_env = "X"\n', "", 1, "secret_file`: a secret is needed"),
        ('"X"', "7", 2, "secret_env`: write the name of an environment variable, or a list"),
        ('"X"', "[]", 2, "secret_env`: an empty list"),
        ("octo/hello", "hello", 3, "repository`: write the repository as"),
        ('"octo/hello"', "7", 3, "repository`: write a repository such as"),
        ("", "per_minute = 0", 5, "per_minute`: write a number from 1"),
        ("", "per_minute = true", 5, "per_minute`: write a number."),
        ("", 'events = ["order paid"]', 5, "events`: `order paid` is no type"),
    ],
)
def test_each_mistake_of_a_source_is_told(old: str, new: str, line: int, says: str) -> None:
    text = SOURCE.replace(old, new) if old else SOURCE + new
    (found,) = problems(f"[sources.shop]\n{text}")
    assert found.startswith(f"line {line}: `sources.shop.{says}"), found


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("", 'events = ["build.done"]', 4, "events`: nobody is told of `build.done`."),
        ("https", "http", 3, "url`: write https."),
        ("https://", "https://mona:x@", 3, "url`: leave the user name"),
        ("example.org/", "example.org/#x", 3, "url`: leave the user name"),
        ("https", "ftp", 3, "url`: write an address"),
        ("example.org/", "example.org:99999/", 3, "url`: write an address"),
        ("example.org/", "[::1", 3, "url`: write an address"),
        ("example.org/", "exämple.org/", 3, "url`: write an address"),
        ("", "allow_private = 1", 4, "allow_private`: write true or false."),
    ],
)
def test_each_mistake_of_a_subscriber_is_told(old: str, new: str, line: int, says: str) -> None:
    text = SUBSCRIBER.replace(old, new) if old else SUBSCRIBER + new
    (found,) = problems(f"[subscribers.chat]\n{text}")
    assert found.startswith(f"line {line}: `subscribers.chat.{says}"), found


@pytest.mark.parametrize(
    "ref",
    [
        "main",
        "refs/heads/",
        "refs/heads/*",
        "refs/pull/7/merge",
        "refs/heads/a..b",
        "refs/heads//a",
        "refs/heads/a/",
        "refs/heads/a.lock",
        "refs/heads/.a/.b",
        "refs/heads/a b",
        "refs/heads/a~1",
        "refs/heads/a^",
        "refs/heads/a:b",
        "refs/heads/@{u}",
        "refs/heads/${{ data.ref }}",
        "refs/heads/{branch}",
        "refs/heads/$BRANCH",
        "-main",
    ],
)
def test_t41_a_ref_is_one_whole_branch_or_tag(ref: str) -> None:
    (found,) = problems("[sources.shop]\n" + SOURCE.replace("refs/heads/main", ref))
    assert "write one whole branch or tag" in found


def test_all_mistakes_are_told_together_in_the_order_of_the_lines() -> None:
    found = problems("[sources.shop]\nnope = 1\n\n[subscribers.chat]\nurl = 7\n")
    assert [one.partition(":")[0] for one in found] == sorted(one.partition(":")[0] for one in found)
    assert len(found) == 6


@hypothesis.given(strategies.text(alphabet="[].\"'=#\n abcsources{}\\0123", max_size=80))
def test_any_text_is_a_policy_or_has_problems(text: str) -> None:
    found = policy.parse(text)
    assert isinstance(found, policy.Policy) or all(str(one) for one in found)


def test_keys_come_from_where_the_file_says_and_are_never_shown() -> None:
    made = policy.with_keys(parsed("[sources.shop]\n" + SOURCE), lambda one: forgeries.SECRET)
    assert isinstance(made, policy.Policy)
    assert made.sources["shop"].keys == (forgeries.KEY,)
    assert repr(forgeries.KEY) not in repr(made)


def write(folder: Path, text: str) -> Settings:
    (folder / "policy.toml").write_text(text)
    return load(policy_file=folder / "policy.toml", data_dir=folder)


def test_a_file_with_its_secrets_is_read_from_disk_and_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("X", forgeries.SECRET)
    (tmp_path / "s").write_text(f"{forgeries.OTHER_SECRET}\n")
    text = "[sources.shop]\n" + SOURCE + "[subscribers.chat]\n" + SUBSCRIBER.replace('env = "X"', 'file = "s"')
    found = load_policy(write(tmp_path, text))
    assert found.sources["shop"].keys == (forgeries.KEY,)
    assert found.subscribers["chat"].keys == (forgeries.OTHER_KEY,)


def test_without_a_file_there_is_an_empty_policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUILDHOOK_POLICY_FILE", "")
    assert load_policy(load(data_dir=tmp_path)) == policy.Policy()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (SOURCE, "`sources.shop.secret_env`: X: there is no such variable in the environment."),
        (SOURCE.replace('env = "X"', 'file = "none"'), "secret_file`: none: cannot read it: No such file"),
        (SOURCE.replace('env = "X"', 'file = "policy.toml"'), "the secret is not whsec_ followed by base64"),
        ("# \ud800", "cannot read"),
        ("# " + "x" * 1024 * 1024, "is larger than"),
        ("[nope]", "line 2: `nope` is no section of the policy."),
    ],
)
def test_f86_a_file_that_cannot_be_used_is_one_line_for_each_mistake(tmp_path: Path, text: str, says: str) -> None:
    settings = write(tmp_path, "")
    (tmp_path / "policy.toml").write_bytes(f"[sources.shop]\n{text}".encode("utf-8", "surrogatepass"))
    with pytest.raises(errors.SettingsError) as wrong:
        load_policy(settings)
    line = str(wrong.value).splitlines()[-1]
    assert line.startswith("BUILDHOOK_POLICY_FILE: ")
    assert says in line


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(errors.SettingsError, match=r"cannot read .*nowhere\.toml"):
        load_policy(load(policy_file=tmp_path / "nowhere.toml", data_dir=tmp_path))


def test_quotas_bound_each_repository() -> None:
    assert policy.parse("") == policy.Policy(quotas=policy.Quotas(jobs=None, hours_per_day=None))
    found = policy.parse("[quotas]\njobs = 4\nhours_per_day = 48\n")
    assert isinstance(found, policy.Policy)
    assert found.quotas == policy.Quotas(jobs=4, hours_per_day=48, storage_bytes=10 << 30)
    found = policy.parse('[quotas]\nstorage = "1.5TiB"\n')
    assert isinstance(found, policy.Policy)
    assert found.quotas.storage_bytes == 3 << 39


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("jobs = 0", "line 2: `quotas.jobs`: write a number from 1 to 10000"),
        ("jobs = 1.5", "line 2: `quotas.jobs`: write a number from 1 to 10000."),
        ("hours_per_day = -1", "line 2: `quotas.hours_per_day`: write a number from 1 to 240000"),
        ('storage = "10 apples"', 'line 2: `quotas.storage`: write a size from `"16MiB"` to `"1000TiB"`'),
        ('storage = "1MiB"', "line 2: `quotas.storage`: write a size"),
        ("storage = 10", "line 2: `quotas.storage`: write a size"),
        ("hours = 4", "line 2: `quotas.hours`: it means nothing."),
    ],
)
def test_quotas_that_are_none_are_told(line: str, says: str) -> None:
    (found,) = problems(f"[quotas]\n{line}\n")
    assert found.startswith(says), found


def test_operators_are_named_by_numbers() -> None:
    assert policy.parse("") == policy.Policy(access=policy.Access(operators=frozenset()))
    found = policy.parse("[access]\noperators = [583231, 1]\n")
    assert isinstance(found, policy.Policy)
    assert found.access.operators == {583231, 1}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('operators = ["octocat"]', "line 2: `access.operators`: write numeric ids such as `[583231]`"),
        ("operators = [0]", "line 2: `access.operators`: write numeric ids"),
        ("operators = [true]", "line 2: `access.operators`: write numeric ids"),
        ("operators = 583231", "line 2: `access.operators`: write a list of ids"),
        ("admins = [1]", "line 2: `access.admins`: it means nothing."),
    ],
)
def test_t99_operators_that_are_no_numbers_are_told(line: str, says: str) -> None:
    (found,) = problems(f"[access]\n{line}\n")
    assert found.startswith(says), found

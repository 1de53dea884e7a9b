"""What somebody may: by GitHub's rights, nothing with a token that only reads, all only where nobody signs in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.model.person import Permission
from bot.people.viewer import LOCAL, Viewer

_RIGHTS = st.dictionaries(st.integers(1, 5), st.sampled_from(Permission))


@given(rights=_RIGHTS, need=st.sampled_from(list(Permission)[1:]), repository_id=st.none() | st.integers(1, 6))
def test_rights_are_those_that_github_gives(
    rights: dict[int, Permission], need: Permission, repository_id: int | None
) -> None:
    one = Viewer(user_id=1, login="octocat", rights=rights)
    has = rights.get(repository_id, Permission.NONE) if repository_id is not None else Permission.NONE
    assert one.may(need, repository_id) == (has >= need)
    assert (repository_id in (one.visible(need) or frozenset())) == (has >= need)


@given(rights=_RIGHTS, is_operator=st.booleans(), repository_id=st.none() | st.integers(1, 6))
def test_t103_a_token_for_reading_changes_nothing_whoever_it_belongs_to(
    rights: dict[int, Permission], is_operator: bool, repository_id: int | None
) -> None:
    full = Viewer(user_id=1, login="octocat", rights=rights, is_operator=is_operator)
    reading = Viewer(user_id=1, login="octocat", rights=rights, is_operator=is_operator, can_write=False)
    assert reading.may(Permission.READ, repository_id) == full.may(Permission.READ, repository_id)
    assert not reading.may(Permission.WRITE, repository_id)
    assert not reading.may(Permission.ADMIN, repository_id)


@pytest.mark.parametrize("repository_id", [None, 1])
def test_operators_and_whoever_sits_here_see_and_do_everything(repository_id: int | None) -> None:
    for one in (LOCAL, Viewer(user_id=1, login="octocat", is_operator=True)):
        assert one.may(Permission.ADMIN, repository_id)
        assert one.visible() is None


def test_what_belongs_to_no_repository_is_for_operators() -> None:
    assert not Viewer(user_id=1, login="octocat", rights={1: Permission.ADMIN}).may(Permission.READ, None)

"""Groups: what of two pipelines meets in one, and what never does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bot.pipelines import concurrency
from bot.pipelines.document import Concurrency

_refs = st.sampled_from(["refs/heads/a", "refs/heads/b", "refs/tags/a", "refs/pull/1/merge", "refs/heads/a-b"])
_groups = st.builds(Concurrency, group=st.text("aB *-/", min_size=1, max_size=4), is_per_ref=st.booleans())


@given(_groups, _refs, _groups, _refs)
def test_t35_builds_meet_in_a_group_only_where_the_files_say_the_same(
    one: Concurrency, ref: str, other: Concurrency, other_ref: str
) -> None:
    is_same_name = one.group.lower() == other.group.lower()
    is_same_place = one.is_per_ref == other.is_per_ref and (not one.is_per_ref or ref == other_ref)
    is_same_key = concurrency.key(one, ref=ref) == concurrency.key(other, ref=other_ref)
    assert is_same_key == (is_same_name and is_same_place)

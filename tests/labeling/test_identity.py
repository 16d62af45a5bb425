from collections import Counter
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labeling.identity import digest_of, display_order, folded, split_of, uuid7

STEADY = settings(
    derandomize=True, deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)
TURN = st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant"]), "content": st.text()})


def test_the_digest_is_known():
    """Written down, so that no later version can change which prompts are the same, or their split."""
    messages = [{"role": "user", "content": "Name a prime above 10.\n写"}]
    assert digest_of(messages) == "f6e797a3bc0077f4759b4aae927bd1065179981688a05137b2765fed67f7f79b"


def test_splits_are_known():
    """By the owner where there is one, whatever the prompt."""
    owners = {"train": "owner-1", "valid": "owner-0", "heldout": "owner-14"}
    for split, owner in owners.items():
        assert {split_of(owner, "one"), split_of(owner, "other"), split_of("", owner)} == {split}


def test_splits_are_about_ninety_five_five():
    counts = Counter(split_of("", str(n)) for n in range(20_000))
    assert abs(counts["train"] / 20_000 - 0.90) < 0.01
    assert abs(counts["valid"] / 20_000 - 0.05) < 0.01
    assert abs(counts["heldout"] / 20_000 - 0.05) < 0.01


@STEADY
@given(st.lists(TURN, min_size=1), st.lists(TURN, min_size=1))
def test_only_equal_messages_have_equal_digests(first, second):
    assert (digest_of(first) == digest_of(second)) == (first == second)


def test_ids_grow_and_are_version_seven():
    ids = [uuid7() for _ in range(100)]
    assert {one.version for one in ids} == {7}
    assert {one.variant for one in ids} == {UUID(int=0x8 << 60).variant}
    assert [one.int >> 80 for one in ids] == sorted(one.int >> 80 for one in ids)
    assert len(set(ids)) == 100


def test_the_same_text_is_folded_alike():
    assert folded("café\n au  lait ") == folded("cafe\u0301 au lait")
    assert folded("Tea") != folded("tea")


@given(
    st.lists(st.uuids(), min_size=1, max_size=9, unique=True), st.uuids(), st.binary(min_size=32, max_size=32)
)
def test_an_order_is_a_permutation_that_hangs_on_nothing_but_its_inputs(ids, assignment, salt):
    order = display_order(assignment, salt, ids)
    assert sorted(order) == sorted(ids)
    assert display_order(assignment, salt, ids[::-1]) == order


def test_every_place_is_equally_likely():
    ids = [uuid7() for _ in range(4)]
    first = Counter(display_order(UUID(int=n), b"salt", ids)[0] for n in range(4000))
    assert all(900 < count < 1100 for count in first.values())

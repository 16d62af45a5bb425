import pytest

from labeling.agreement import PairCounts, compare, kendall_w, krippendorff_alpha, pair_codes

L1, L2, L3 = [1, 2, 2, 3], [1, 3, 2, 4], [2, 1, 3, 4]
LIKERT = [[7, 5, 3, 2, None], [6, 5, 4, 2, 1], [7, 4, None, 1, 2]]


def ranks(values):
    return {f"c{index}": value for index, value in enumerate(values)}


@pytest.mark.parametrize(
    ("first", "second", "concordant", "discordant", "one", "strict", "exact", "half", "tau"),
    [
        (L1, L2, 5, 0, 1, 1.0, 0.8333, 0.9167, 0.912871),
        (L1, L3, 4, 1, 1, 0.8, 0.6667, 0.75, 0.547723),
        (L2, L3, 4, 2, 0, 0.6667, 0.6667, 0.6667, 0.333333),
    ],
)
def test_pairs_of_two_labelers(first, second, concordant, discordant, one, strict, exact, half, tau):
    found = compare(ranks(first), ranks(second))
    assert (found.concordant, found.discordant, found.tied_by_one) == (concordant, discordant, one)
    assert found.strict == pytest.approx(strict, abs=5e-5)
    assert found.exact == pytest.approx(exact, abs=5e-5)
    assert found.half == pytest.approx(half, abs=5e-5)
    assert found.tau_b == pytest.approx(tau, abs=5e-7)


def test_whoever_ties_everything_has_no_tau():
    found = compare(ranks([1, 1, 1]), ranks([1, 2, 3]))
    assert found.tau_b is None
    assert found.strict is None
    assert found.half == 0.5


def test_only_items_that_both_ranked_count():
    assert compare({"a": 1, "b": 2, "c": 3}, {"b": 1, "c": 2, "d": 3}) == PairCounts(concordant=1)


def test_counts_of_tasks_add_up():
    assert compare(ranks(L1), ranks(L2)) + compare(ranks(L1), ranks(L3)) == PairCounts(9, 1, 0, 2, 0)


def test_kendall_w_corrects_for_ties():
    assert kendall_w([L1, L2, L3]) == pytest.approx(0.770115, abs=5e-7)


def test_kendall_w_is_undefined_for_one_labeler_or_all_ties():
    assert kendall_w([L1]) is None
    assert kendall_w([[1, 1], [1, 1]]) is None


@pytest.mark.parametrize(
    ("level", "alpha"), [("nominal", 0.154930), ("ordinal", 0.891098), ("interval", 0.915014)]
)
def test_alpha_on_likert_with_missing_values(level, alpha):
    assert krippendorff_alpha(LIKERT, level) == pytest.approx(alpha, abs=5e-7)


def test_alpha_on_rank_vectors():
    assert krippendorff_alpha([L1, L2, L3], "ordinal") == pytest.approx(0.536517, abs=5e-7)


@pytest.mark.parametrize(("level", "alpha"), [("nominal", 0.510), ("ordinal", 0.600)])
def test_alpha_on_pair_codes_is_symmetric_in_the_items(level, alpha):
    codes = [pair_codes(values) for values in (L1, L2, L3)]
    turned = [pair_codes(values[::-1]) for values in (L1, L2, L3)]
    assert krippendorff_alpha(codes, level) == pytest.approx(alpha, abs=5e-4)
    assert krippendorff_alpha(turned, level) == pytest.approx(krippendorff_alpha(codes, level))


def test_alpha_is_undefined_where_nothing_can_differ():
    assert krippendorff_alpha([[1, 1], [1, 1]], "nominal") is None
    assert krippendorff_alpha([[1, None], [None, 2]], "nominal") is None

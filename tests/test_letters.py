"""Many comparisons at once: Holm's correction, and letters that say the same as the comparisons."""

from __future__ import annotations

from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fercourse.errors import FercourseError
from fercourse.evaluate.letters import holm, significance_letters

NAMES = tuple("pqrstuv")
PAIRS = list(combinations(NAMES, 2))


def test_holm_by_hand() -> None:
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}) == pytest.approx(
        {"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02}
    )
    assert holm({"a": 0.6, "b": 0.7}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}
    with pytest.raises(FercourseError, match="between 0 and 1"):
        holm({"a": 1.5})


@given(st.dictionaries(st.sampled_from(PAIRS), st.floats(0, 1)))
def test_holm_keeps_the_order_and_never_lowers(p_values: dict[tuple[str, str], float]) -> None:
    corrected = holm(p_values)
    assert list(corrected) == list(p_values)
    assert all(p_values[key] <= corrected[key] <= 1 for key in p_values)
    order = sorted(p_values, key=p_values.__getitem__)
    assert all(corrected[a] <= corrected[b] for a, b in pairwise(order))


@given(st.sets(st.sampled_from(PAIRS)))
def test_two_share_a_letter_if_and_only_if_they_do_not_differ(differ: set[tuple[str, str]]) -> None:
    letters = significance_letters(NAMES, differ)
    for pair in PAIRS:
        shared = set(letters[pair[0]]) & set(letters[pair[1]])
        assert bool(shared) == (pair not in differ), (pair, letters)
    # No letter says only what another says too.
    groups = [
        {name for name in NAMES if letter in letters[name]} for letter in set("".join(letters.values()))
    ]
    assert not any(one < other for one in groups for other in groups)


def test_letters_are_given_out_from_the_best() -> None:
    assert significance_letters(["x", "y", "z"], []) == {"x": "a", "y": "a", "z": "a"}
    assert significance_letters(["x", "y", "z"], [("z", "x")]) == {"x": "a", "y": "ab", "z": "b"}
    assert significance_letters(["x", "y"], [("x", "y")]) == {"x": "a", "y": "b"}
    assert significance_letters([], []) == {}


@pytest.mark.parametrize(
    ("names", "differ", "told"),
    [
        (["x", "x"], [], "stands twice"),
        (["x", "y"], [("x", "z")], "not of two of the names"),
        (["x", "y"], [("x", "x")], "not of two of the names"),
    ],
)
def test_wrong_comparisons_are_refused(names: list[str], differ: list[tuple[str, str]], told: str) -> None:
    with pytest.raises(FercourseError, match=told):
        significance_letters(names, differ)

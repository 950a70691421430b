from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from autokd.data.split import balanced_subset, stratified_split

counts = st.lists(st.integers(2, 30), min_size=2, max_size=6)


def shuffled_labels(class_counts: list[int], seed: int = 0) -> np.ndarray:
    labels = np.repeat(np.arange(len(class_counts)), class_counts)
    return np.random.default_rng(seed).permutation(labels)


@given(counts, st.floats(0.001, 0.999), st.integers(0, 2**63))
def test_kept_and_held_out_are_disjoint_and_cover_everything(
    class_counts: list[int], share: float, seed: int
) -> None:
    labels = shuffled_labels(class_counts)
    kept, held_out = stratified_split(labels, share, np.random.default_rng(seed))
    assert sorted([*kept, *held_out]) == list(range(len(labels)))
    assert list(kept) == sorted(kept) and list(held_out) == sorted(held_out)


@given(counts, st.floats(0.001, 0.999))
def test_the_same_share_of_every_class_is_held_out(class_counts: list[int], share: float) -> None:
    labels = shuffled_labels(class_counts)
    kept, held_out = stratified_split(labels, share, np.random.default_rng(0))
    held = np.bincount(labels[held_out], minlength=len(class_counts))
    assert np.all(held >= 1)
    assert np.all(np.bincount(labels[kept], minlength=len(class_counts)) >= 1)
    assert np.all(np.abs(held - share * np.asarray(class_counts)) <= 1)


def test_a_split_is_the_same_for_a_seed_and_another_for_another() -> None:
    labels = shuffled_labels([20, 20, 20])
    first, again, other = (
        stratified_split(labels, 0.3, np.random.default_rng(seed))[1].tolist() for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


@given(counts, st.data())
def test_a_subset_takes_equally_many_of_each_class_as_far_as_they_go(
    class_counts: list[int], data: st.DataObject
) -> None:
    labels = shuffled_labels(class_counts)
    limit = data.draw(st.integers(1, len(labels)))
    rows = balanced_subset(labels, limit, np.random.default_rng(0))
    assert len(rows) == len(set(rows)) == limit
    taken = np.bincount(labels[rows], minlength=len(class_counts))
    not_exhausted = taken[taken < np.asarray(class_counts)]
    if len(not_exhausted):
        assert taken.max() - not_exhausted.min() <= 1


def test_a_limit_beyond_all_images_takes_all() -> None:
    labels = shuffled_labels([3, 4])
    assert balanced_subset(labels, 100, np.random.default_rng(0)).tolist() == list(range(7))

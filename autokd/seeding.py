"""The one source of randomness: a seed for each purpose, derived from the study's seed.

Nothing in autokd draws from a global generator. Two runs of one study that reach the same trial
draw the same numbers for it, whatever happened in between and in whichever process it runs.
"""

from __future__ import annotations

import hashlib

import numpy as np


def seed_for(study_seed: int, trial: int, purpose: str) -> int:
    """The seed of one purpose (`"suggest"`, `"init"`, `"order"`, …) in one trial, in [0, 2**63).

    Args:
        study_seed: the `seed` of the study.
        trial: the trial's number, or any other whole number that the purpose counts by.
        purpose: a short fixed word; different purposes give independent streams.
    """
    text = f"{study_seed}/{trial}/{purpose}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


def rng_for(study_seed: int, trial: int, purpose: str) -> np.random.Generator:
    """A NumPy generator seeded by `seed_for`."""
    return np.random.default_rng(seed_for(study_seed, trial, purpose))

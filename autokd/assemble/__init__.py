"""Names become objects here, and nowhere else: from a study file to a study that can run."""

from __future__ import annotations

from autokd.assemble.parts import Given, Parts, asks_for_latency, load_data, teacher_cost
from autokd.assemble.search import (
    admit_candidate,
    distillation_domain,
    make_problem,
    make_strategy,
)
from autokd.assemble.spaces import describe_space, load_space
from autokd.assemble.study import assemble_study
from autokd.assemble.workers import make_runner, make_scheme, threads_of_worker, worker_count

__all__ = [
    "Given",
    "Parts",
    "admit_candidate",
    "asks_for_latency",
    "assemble_study",
    "describe_space",
    "distillation_domain",
    "load_data",
    "load_space",
    "make_problem",
    "make_runner",
    "make_scheme",
    "make_strategy",
    "teacher_cost",
    "threads_of_worker",
    "worker_count",
]

"""autokd finds small neural networks that do a big one's work.

The same three calls stand behind the command line, the service and a notebook:

    spec = autokd.read_study("studies/digits.yaml")
    study = autokd.assemble_study(spec)
    front = study.run()

Names load when they are first used: `import autokd` itself loads neither torch nor Optuna.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autokd.assemble import assemble_study
    from autokd.client import Client
    from autokd.errors import AutokdError
    from autokd.exporting import export_student, load_student
    from autokd.multiobjective import Objective, ParetoFront
    from autokd.space import Architecture, Condition, Domain, SearchSpace
    from autokd.spec import StudySpec, read_study
    from autokd.store import Store
    from autokd.study import Study
    from autokd.task import Task

__version__ = "0.1.0"

__all__ = [
    "Architecture",
    "AutokdError",
    "Client",
    "Condition",
    "Domain",
    "Objective",
    "ParetoFront",
    "SearchSpace",
    "Store",
    "Study",
    "StudySpec",
    "Task",
    "__version__",
    "assemble_study",
    "export_student",
    "load_student",
    "read_study",
]

_HOMES = {
    "Architecture": "autokd.space",
    "AutokdError": "autokd.errors",
    "Client": "autokd.client",
    "Condition": "autokd.space",
    "Domain": "autokd.space",
    "Objective": "autokd.multiobjective",
    "ParetoFront": "autokd.multiobjective",
    "SearchSpace": "autokd.space",
    "Store": "autokd.store",
    "Study": "autokd.study",
    "StudySpec": "autokd.spec",
    "Task": "autokd.task",
    "assemble_study": "autokd.assemble",
    "export_student": "autokd.exporting",
    "load_student": "autokd.exporting",
    "read_study": "autokd.spec",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'autokd' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)

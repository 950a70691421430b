"""Trains students of the digits study in full and writes them down as `tables/digits.json`.

    python benchmarks/record_digits.py

60 random students and 40 that a search proposed, distillation settings included, each trained for
27 epochs with no early stop. The table has the choices, the cost and the learning curve of each,
so that search strategies can be compared on real students without training them again. On two
cores it takes about ten minutes.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
from pathlib import Path
from typing import Any

import torch
from optuna.distributions import distribution_to_json

import autokd
from autokd.assemble import Parts, distillation_domain
from autokd.study import Study
from autokd.trial import TrialState

HERE = Path(__file__).parent
EPOCHS = 27
RANDOM, SEARCHED = 60, 40


def spec(name: str, strategy: dict[str, Any], trials: int) -> Any:
    """The digits study with one rung and no final stage."""
    plain = autokd.read_study(HERE.parent / "studies" / "digits.yaml").model_dump(mode="json")
    changed = {
        "name": name,
        "strategy": strategy,
        "fidelity": {"min_epochs": EPOCHS, "max_epochs": EPOCHS},
        "limits": {"trials": trials},
        "final": None,
    }
    return autokd.read_study({**plain, **changed})


def rows(study: Study, source: str) -> list[dict[str, Any]]:
    """A row for each student that was trained to the end."""
    found = []
    for trial in study.trials:
        if trial.state is not TrialState.COMPLETE:
            continue
        curve = study.store.learning_curve(study.record.id, trial.number)
        values = {
            name: [round(value, 5) for _, value in curve[name]] for name in ("accuracy", "loss")
        }
        found.append(
            {
                "source": source,
                "choices": dict(trial.architecture.choices),
                "seed": trial.architecture.seed,
                "distillation": dict(trial.distillation),
                "cost": trial.cost.figures(),
                **values,
            }
        )
    return found


def main() -> None:
    """Trains, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=HERE / "tables" / "digits.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        storage = Path(folder) / "autokd.db"
        random = autokd.assemble_study(spec("random", {"name": "random"}, RANDOM), storage=storage)
        random.run()
        search = {"name": "bayesian", "warm_start": ["random"]}
        searched = autokd.assemble_study(spec("searched", search, SEARCHED), storage=storage)
        searched.run()
        taught = distillation_domain(searched.spec.distillation)
        domains = {
            name: {
                "parameters": {
                    parameter: json.loads(distribution_to_json(distribution))
                    for parameter, distribution in domain.parameters.items()
                },
                "conditions": {
                    parameter: [condition.parent, list(condition.values)]
                    for parameter, condition in domain.conditions.items()
                },
            }
            for name, domain in (
                ("architecture", Parts.of(searched.spec).domain),
                ("distillation", taught),
            )
        }
        table = {
            "about": "students of studies/digits.yaml, each trained for 27 epochs: validation "
            "accuracy and loss after each epoch, on 287 images",
            "made with": f"torch {torch.__version__}, Python {platform.python_version()}, "
            f"{platform.machine()}, study seed 0",
            "teacher": searched.record.teacher,
            "domains": domains,
        }
        students = rows(random, "random") + rows(searched, "searched")
    lines = ",\n".join(json.dumps(row) for row in students)
    head = json.dumps(table, indent=1)[:-2]
    options.output.write_text(f'{head},\n "students": [\n{lines}\n]\n}}\n')
    print(f"{len(students)} students in {options.output}")


if __name__ == "__main__":
    main()

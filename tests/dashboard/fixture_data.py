"""Studies that never ran: deterministic numbers in the shapes that the service answers with."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from autokd.spec import StudySpec

NOW = "2026-11-20T12:00:00Z"
HOSTILE = "<img src=x onerror=window.hacked=1>"
TEACHER = {
    "accuracy": 0.9722,
    "test_accuracy": 0.9694,
    "parameters": 272474,
    "weight_bytes": 1096072,
    "peak_activation_bytes": 196608,
    "macs": 2566784,
}
BUDGET = {"parameters": 27247.4, "peak_activation_bytes": 65470.0}
OBJECTIVES = [
    {"metric": "accuracy", "direction": "maximize"},
    {"metric": "parameters", "direction": "minimize"},
]
RUNGS = (3, 9, 27)
COSTS = ("parameters", "weight_bytes", "peak_activation_bytes", "macs")


def spec(name: str, trials: int) -> dict[str, Any]:
    return {
        "name": name,
        "data": {"name": "digits", "validation": 0.2},
        "teacher": {"model": "resnet20", "epochs": 30},
        "space": {"name": "hierarchical_graph", "top_nodes": [3, 5], "bottom_nodes": [2, 4]},
        "distillation": {
            "losses": [
                {
                    "name": "kd",
                    "temperature": {"low": 1, "high": 20, "log": True},
                    "weight": {"low": 0.1, "high": 1.0},
                }
            ]
        },
        "budget": {"parameters": "0.1x", "peak_activation_bytes": "0.333x"},
        "objectives": OBJECTIVES,
        "strategy": {"name": "bayesian"},
        "fidelity": {"min_epochs": 3, "max_epochs": 27, "eta": 3},
        "training": {"learning_rate": 0.05},
        "limits": {"trials": trials, "seconds": 14400, "failures": 10},
        "final": {"top": 3, "epochs": 60, "seeds": 3},
        "seed": 0,
    }


def stored(spec: dict[str, Any]) -> dict[str, Any]:
    """A study file as a service keeps it: with all that was left out."""
    return StudySpec.model_validate(spec).model_dump(mode="json")


# id, name, state, candidates, trials wanted, stop reason, labels
_STUDIES: tuple[tuple[str, str, str, int, int, str | None, dict[str, str]], ...] = (
    ("std_1", "digits", "completed", 60, 60, "trials", {"device": "cortex-m7", "team": "vision"}),
    ("std_2", "fashion-mnist-edge", "running", 180, 400, None, {"device": "esp32"}),
    ("std_3", "cifar10-sweep", "completed", 10000, 10000, "trials", {"team": "vision"}),
    ("std_4", HOSTILE, "failed", 24, 50, "failures", {"note": "<script>hacked=1</script>"}),
    ("std_5", "too-tight", "completed", 20, 20, "nothing_feasible", {}),
    ("std_6", "svhn-night", "queued", 0, 200, None, {"team": "vision"}),
    ("std_7", "kmnist", "paused", 90, 120, None, {"device": "esp32"}),
)


def studies() -> list[FixtureStudy]:
    return [FixtureStudy(*row) for row in _STUDIES]


class FixtureStudy:
    """One made-up study; everything follows from its number."""

    def __init__(
        self,
        id: str,
        name: str,
        state: str,
        size: int,
        wanted: int,
        stop_reason: str | None,
        labels: dict[str, str],
    ) -> None:
        self.id, self.name, self.state, self.size = id, name, state, size
        self.wanted, self.stop_reason, self.labels = wanted, stop_reason, labels
        self.deleted: str | None = None
        self.teacher_epoch: dict[str, Any] | None = None
        self.seconds = round(size * 7.4, 1)
        rng = np.random.default_rng(int(id[4:]))
        n = size
        self.choices: dict[str, np.ndarray] = {
            "top_nodes": rng.integers(3, 6, n),
            "top_rewiring": rng.uniform(0.1, 0.9, n).round(3),
            "bottom_nodes": rng.integers(2, 5, n),
            "bottom_neighbours": rng.choice([2, 4], n),
            "bottom_rewiring": rng.uniform(0.1, 0.9, n).round(3),
            "parameter_fraction": rng.uniform(0.3, 1.0, n).round(3),
        }
        self.distillation: dict[str, np.ndarray] = {
            "kd.temperature": np.exp(rng.uniform(0, math.log(20), n)).round(2),
            "kd.weight": rng.uniform(0.1, 1.0, n).round(3),
        }
        scale = np.exp(rng.uniform(math.log(2500), math.log(45000), n))
        tight = 60 if name == "too-tight" else 1
        parameters = (scale * tight).astype(int)
        peak = (parameters * rng.uniform(1.1, 3.2, n) + 9000).astype(int)
        macs = (parameters * rng.uniform(9, 16, n)).astype(int)
        reached = rng.choice([0, 1, 2], n, p=[0.62, 0.25, 0.13]) if n else np.zeros(0, int)
        quality = (
            0.985
            - 0.35 * np.exp(-np.log(np.maximum(parameters, 2) / 900) * 1.15)
            - 0.012 * (self.choices["bottom_rewiring"] - 0.45) ** 2 * 8
            + 0.006 * (self.choices["top_nodes"] - 4)
            - 0.014 * np.abs(np.log(self.distillation["kd.temperature"] / 5)) / 3
            + rng.normal(0, 0.008, n)
        )
        accuracy = np.clip(quality - np.array([0.05, 0.018, 0.0])[reached], 0.1, 0.994).round(4)
        self.feasible = (parameters <= BUDGET["parameters"]) & (
            peak <= BUDGET["peak_activation_bytes"]
        )
        failed = rng.uniform(size=n) < (0.3 if state == "failed" else 0.01)
        running = np.zeros(n, bool)
        if state == "running":
            running[-2:] = True
        self.states = np.where(
            ~self.feasible,
            "infeasible",
            np.where(failed, "failed", np.where(reached == 2, "complete", "paused")),
        )
        self.states = np.where(running & self.feasible, "running", self.states)
        self.trained = np.isin(self.states, ["complete", "paused"])
        self.rung = np.where(self.trained, np.array(RUNGS)[reached], 0)
        self.figures: dict[str, list[float | None]] = {
            "accuracy": [
                float(a) if t else None for a, t in zip(accuracy, self.trained, strict=True)
            ],
            "loss": [
                round(float(1.9 * (1 - a) + 0.05), 4) if t else None
                for a, t in zip(accuracy, self.trained, strict=True)
            ],
            "parameters": parameters.tolist(),
            "weight_bytes": (parameters * 4 + 640).tolist(),
            "peak_activation_bytes": peak.tolist(),
            "macs": macs.tolist(),
        }
        self.front = self._front()

    def _front(self) -> list[int]:
        best, front = -1.0, []
        order = [i for i in range(self.size) if self.trained[i]]
        for i in sorted(order, key=lambda i: (self.figures["parameters"][i], -self.accuracy(i))):
            if self.accuracy(i) > best:
                best = self.accuracy(i)
                front.append(i)
        return front[::-1]

    def accuracy(self, i: int) -> float:
        return self.figures["accuracy"][i] or 0.0

    def row(self, i: int) -> dict[str, Any]:
        return {
            "trial": i,
            "candidate": i,
            "epochs": int(self.rung[i]),
            **{name: values[i] for name, values in self.figures.items()},
            "choices": {name: values[i].item() for name, values in self.choices.items()},
            "distillation": {name: values[i].item() for name, values in self.distillation.items()},
        }

    def candidate(self, i: int) -> dict[str, Any]:
        row = self.row(i)
        finals = {final["candidate"]: final for final in self.final()}
        return {
            "number": i,
            "trial": i,
            "state": str(self.states[i]),
            "feasible": bool(self.feasible[i]),
            "on_front": i in self.front,
            "epochs": row["epochs"],
            "figures": {name: values[i] for name, values in self.figures.items()},
            "choices": row["choices"],
            "distillation": row["distillation"],
            "draw": 1000 + i,
            "trials": [i],
            "final": finals.get(i),
        }

    def final(self) -> list[dict[str, Any]]:
        if self.state != "completed":
            return []
        rows = []
        for rank, i in enumerate(self.front[:3]):
            accuracy = self.accuracy(i)
            rows.append(
                {
                    "trial": i,
                    "candidate": i,
                    "epochs": 60,
                    "seeds": 3,
                    **{name: self.figures[name][i] for name in COSTS},
                    "validation_accuracy": round(accuracy + 0.002, 4),
                    "validation_accuracy_sd": 0.0021,
                    "test_accuracy": round(accuracy - 0.003, 4),
                    "test_accuracy_sd": 0.0018,
                    "ece": 0.0142 + 0.002 * rank,
                    "ece_sd": 0.001,
                    "baseline_validation_accuracy": round(accuracy - 0.009, 4),
                    "baseline_validation_accuracy_sd": 0.003,
                    "baseline_test_accuracy": round(accuracy - 0.014, 4),
                    "baseline_test_accuracy_sd": 0.0031,
                    "baseline_ece": 0.031,
                    "baseline_ece_sd": 0.002,
                }
            )
        return rows

    def hypervolume(self) -> list[dict[str, Any]]:
        points, best = [], None
        for i in range(self.size):
            if self.trained[i]:
                best = max(best or 0.0, self.accuracy(i))
            points.append(
                {
                    "trial": i,
                    "finished": i + 1,
                    "seconds": round(i * 7.4, 1),
                    "hypervolume": round(0.9 - 0.55 * math.exp(-i / max(8, self.size / 6)), 4),
                    "best": best,
                }
            )
        return points

    def summary(self) -> dict[str, Any]:
        states = self.states.tolist()
        hypervolume = self.hypervolume()
        unfinished = states.count("running")
        return {
            "id": self.id,
            "name": self.name,
            "state": self.state,
            "stop_reason": self.stop_reason,
            "error": "12 of 24 trials failed: CUDA ran out of memory"
            if self.state == "failed"
            else None,
            "labels": self.labels,
            "created": f"2026-11-{20 - int(self.id[4:]):02d}T08:15:00Z",
            "updated": "2026-11-20T11:58:20Z",
            "deleted": self.deleted,
            "seconds": self.seconds,
            "objectives": OBJECTIVES,
            "budget": BUDGET,
            "limits": {
                "trials": self.wanted,
                "epochs": None,
                "seconds": 14400,
                "failures": 10,
                "converged": None,
            },
            "teacher": TEACHER if self.size else {},
            "trials": {
                "total": self.size,
                "complete": states.count("complete"),
                "pruned": states.count("paused"),
                "infeasible": states.count("infeasible"),
                "failed": states.count("failed"),
                "unfinished": unfinished,
            },
            "progress": 1.0 if self.state == "completed" else self.size / self.wanted,
            "seconds_left": round((self.wanted - self.size) * 7.4)
            if self.state == "running"
            else None,
            "best": self.row(self.front[0]) if self.front else None,
            "front_size": len(self.front),
            "hypervolume": [
                point["hypervolume"] for point in hypervolume[:: max(1, len(hypervolume) // 31)]
            ][:31]
            + [point["hypervolume"] for point in hypervolume[-1:]],
        }

    def detail(self) -> dict[str, Any]:
        health = []
        if self.state == "failed":
            health.append(
                {
                    "level": "error",
                    "code": "too_many_failures",
                    "message": "7 of 24 trials failed, most of them out of memory; lower the batch "
                    "size or the memory limit.",
                }
            )
        if self.stop_reason == "nothing_feasible":
            health.append(
                {
                    "level": "error",
                    "code": "nothing_feasible",
                    "message": "No student fits the budget; the nearest has 2.1x the limit of "
                    "parameters.",
                }
            )
        if self.id == "std_2":
            health.append(
                {
                    "level": "warning",
                    "code": "infeasible_share",
                    "message": "38 % of the proposals were over budget; they cost no training.",
                }
            )
        if self.final():
            health.append(
                {
                    "level": "info",
                    "code": "distillation_gain",
                    "message": "The teacher brings 1.1 points of test accuracy over training "
                    "without it.",
                }
            )
        return {
            **self.summary(),
            "spec": {**stored(spec("fixture", self.wanted)), "name": self.name},
            "front": [self.row(i) for i in self.front],
            "final": self.final(),
            "health": health,
            "teacher_epoch": self.teacher_epoch,
        }

    def columns(self) -> dict[str, Any]:
        front = set(self.front)
        return {
            "candidate": list(range(self.size)),
            "trial": list(range(self.size)),
            "state": self.states.tolist(),
            "epochs": self.rung.tolist(),
            "feasible": self.feasible.tolist(),
            "on_front": [i in front for i in range(self.size)],
            "figures": self.figures,
            "choices": {name: values.tolist() for name, values in self.choices.items()},
            "distillation": {name: values.tolist() for name, values in self.distillation.items()},
        }

    def trial(self, number: int) -> dict[str, Any]:
        kind = {1: "final", 2: "baseline"}.get(number // 1_000_000, "search")
        i = number % 1_000_000 // (10 if kind != "search" else 1)
        repeat = number % 10 if kind != "search" else 0
        row = self.row(i)
        goal = 60 if kind != "search" else RUNGS[-1]
        done = goal if kind != "search" else row["epochs"]
        shift = {"final": 0.0, "baseline": -0.011, "search": 0.0}[kind] + 0.0013 * (repeat - 1)
        figures = {name: values[i] for name, values in self.figures.items()}
        if kind != "search":
            figures["accuracy"] = round(self.accuracy(i) + 0.002 + shift, 4)
            figures["test_accuracy"] = round(self.accuracy(i) - 0.003 + shift, 4)
        failed = kind == "search" and self.states[i] == "failed"
        return {
            "number": number,
            "kind": kind,
            "candidate": i,
            "state": "complete" if kind != "search" else str(self.states[i]),
            "repeat": repeat,
            "epochs": goal,
            "epochs_done": done,
            "figures": figures,
            "evaluations": [
                {"epochs": rung, "metrics": {"accuracy": round(self.accuracy(i) - 0.01, 4)}}
                for rung in RUNGS
                if rung <= done
            ],
            "failure": {"class": "out_of_memory", "message": "CUDA out of memory: 2.1 GiB asked"}
            if failed
            else None,
            "choices": row["choices"],
            "distillation": row["distillation"],
            "notes": {},
        }

    def calibration(self, number: int) -> dict[str, list[dict[str, float]]]:
        trial = self.trial(number)
        if not trial["epochs_done"]:
            return {}
        splits = {"validation": 90, "test": 180}
        if trial["kind"] == "search":
            del splits["test"]
        return {
            split: [
                {
                    "count": round(1 + most * (k / 14) ** 6),
                    "confidence": (k + 0.6) / 15,
                    "accuracy": min(1.0, (k + 0.6) / 15 + 0.08 * math.sin(2.4 * k + most)),
                }
                for k in range(4, 15)
            ]
            for split, most in splits.items()
        }

    def attempts(self, number: int) -> list[dict[str, Any]]:
        failed = number < self.size and self.states[number] == "failed"
        return [
            {
                "n": 1,
                "state": "failed" if failed else "done",
                "started": "2026-11-20T09:00:00Z",
                "ended": "2026-11-20T09:01:12Z",
                "message": "CUDA out of memory" if failed else "",
            }
        ]

    def metrics(self, number: int) -> dict[str, Any]:
        trial = self.trial(number)
        goal, epochs = trial["figures"].get("accuracy") or 0.0, trial["epochs_done"]
        curve: dict[str, list[list[float]]] = {}
        for name, start, end, speed in (
            ("train_loss", 2.3, 0.09, 6),
            ("train_kd", 1.6, 0.06, 5),
            ("train_cross_entropy", 2.3, 0.11, 7),
            ("loss", 2.1, 0.16, 6),
            ("accuracy", 0.12, goal, 4),
            ("ece", 0.31, 0.02, 5),
        ):
            curve[name] = [
                [epoch, round(end + (start - end) * math.exp(-epoch * 24 / speed / epochs), 5)]
                for epoch in range(1, epochs + 1)
            ]
        return {"trial": number, "metrics": curve}

    def log(self, number: int) -> str:
        lines = [f"2026-11-20 09:00:00 trial {number}: student built, 0 of 27 epochs done"]
        lines += [
            f"2026-11-20 09:00:{epoch + 2:02d} epoch {epoch:2d}  loss {2.2 / epoch:.4f}  "
            f"kd {1.5 / epoch:.4f}  accuracy {min(0.97, 0.4 + 0.11 * epoch):.4f}"
            for epoch in range(1, 28)
        ]
        lines.append(f"2026-11-20 09:00:31 hostile line {HOSTILE}")
        return "\n".join(lines) + "\n"

    def graph(self, i: int) -> dict[str, Any]:
        cells = int(self.choices["top_nodes"][i])
        rng = np.random.default_rng(i)
        nodes: list[dict[str, Any]] = []
        edges: list[dict[str, str]] = []

        def node(operation: str, stage: int, channels: int, inputs: list[str]) -> str:
            size = 8 // 2**stage
            parameters = channels * channels * 9 if operation == "conv3x3" else 0
            if operation in ("batch norm", "stem"):
                parameters = channels * (2 if operation == "batch norm" else 9)
            if operation == "classifier":
                parameters = channels * 10 + 10
            name = f"n{len(nodes)}"
            nodes.append(
                {
                    "id": name,
                    "label": f"{operation} {channels}",
                    "operation": operation,
                    "stage": stage,
                    "channels": channels,
                    "shape": [channels, size, size] if operation != "classifier" else [10],
                    "parameters": parameters,
                    "macs": parameters * size * size,
                    "bytes": channels * size * size * 4,
                }
            )
            edges.extend({"source": source, "target": name} for source in inputs)
            return name

        last = [node("stem", 0, 10, [])]
        for cell in range(cells):
            stage = min(2, cell * 3 // cells)
            channels = 10 * 2**stage
            if stage and cell and (cell - 1) * 3 // cells < stage:
                last = [node("max pool", stage, channels // 2, last)]
            made: list[str] = []
            for position in range(int(self.choices["bottom_nodes"][i])):
                inputs = last if position == 0 else [made[int(rng.integers(len(made)))]]
                if position > 1 and made[-1] not in inputs:
                    inputs = [node("sum", stage, channels, [*inputs, made[-1]])]
                relu = node("relu", stage, channels, inputs)
                conv = node("conv3x3", stage, channels, [relu])
                made.append(node("batch norm", stage, channels, [conv]))
            last = made[-2:] if len(made) > 1 else made
        total = node("sum", 2, 40, last)
        pool = node("global pool", 2, 40, [total])
        node("classifier", 2, 40, [pool])
        return {
            "nodes": nodes,
            "edges": edges,
            "totals": {name: self.figures[name][i] for name in COSTS},
            "teacher": TEACHER,
        }

"""The candidates of a study's search: as rows, as columns, as CSV, filtered and ordered."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from autokd.analysis.filtering import (
    Kind,
    Value,
    filtered,
    kind_of,
    ordered,
    parse_filter,
    parse_order,
)
from autokd.errors import UnknownNameError
from autokd.multiobjective import ParetoFront
from autokd.report import epochs_done, final_rows, finite, objectives_of
from autokd.store import StudyRecord
from autokd.trial import Trial, TrialKind, TrialState

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a cell begins with that a spreadsheet would run."""

_PLAIN: Mapping[str, tuple[Kind, Callable[[Trial], Value]]] = {
    "number": ("number", lambda trial: trial.candidate),
    "candidate": ("number", lambda trial: trial.candidate),
    "trial": ("number", lambda trial: trial.number),
    "state": ("text", lambda trial: trial.state.value),
    "feasible": ("truth", lambda trial: trial.state is not TrialState.INFEASIBLE),
    "epochs": ("number", epochs_done),
    "draw": ("number", lambda trial: trial.architecture.seed),
}
"""Fields of a candidate that its trial alone tells; `number` is its own, by either name."""

_GROUPS: Mapping[str, tuple[str, Callable[[Trial], Mapping[str, Any]]]] = {
    "figures": ("", lambda trial: trial.figures),
    "choices": ("choices.", lambda trial: trial.architecture.choices),
    "distillation": ("distillation.", lambda trial: trial.distillation),
}
"""Groups of fields, with what stands before their names."""

_ROW = ("number", "trial", "state", "feasible", "on_front", "epochs", "draw")
_COLUMNS = ("candidate", "trial", "state", "epochs", "feasible", "on_front")


class Candidates:
    """The candidates that a search has proposed, each with the trial that tells most of it.

    That is the one of the search that was trained longest and, of several, the newest. Candidates
    of the final stage alone (fresh draws of a generator) are left out.

    Args:
        record: the study.
        trials: all its trials.
    """

    def __init__(self, record: StudyRecord, trials: Sequence[Trial]) -> None:
        self._record = record
        self._all = trials
        found: dict[int, Trial] = {}
        for trial in trials:
            if trial.kind is TrialKind.SEARCH:
                known = found.setdefault(trial.candidate, trial)
                if _knowledge(trial) > _knowledge(known):
                    found[trial.candidate] = trial
        self.trials = [found[number] for number in sorted(found)]

    @cached_property
    def kinds(self) -> dict[str, Kind]:
        """What the value of each field is, by its name in filters and orders."""
        kinds: dict[str, Kind] = {name: kind for name, (kind, _) in _PLAIN.items()}
        kinds["on_front"] = "truth"
        for group, (prefix, values) in _GROUPS.items():
            table = list(map(values, self.trials))
            if group == "figures":  # of which thousands need no look
                kinds |= dict.fromkeys(_names_in(table), "number")
            else:
                samples = _samples_in(table)
                kinds |= {prefix + name: kind_of(values) for name, values in samples.items()}
        return kinds

    def select(self, filter: str = "", order_by: str = "") -> list[Trial]:
        """The trials of the candidates that meet a filter, in an order; see `filtering`.

        Fields are those of a row: `number`, `state`, …; a figure by its name alone (`parameters`);
        `choices.NAME` and `distillation.NAME`. Without an order they come by number.

        Raises:
            FilterError: the filter is none.
            UnknownNameError: a field that there is not.
        """
        conditions = parse_filter(filter, self.kinds)
        keys = parse_order(order_by, self.kinds)
        return ordered(filtered(self.trials, conditions, self._field), keys, self._field)

    def rows(self, trials: Iterable[Trial] | None = None) -> list[dict[str, Any]]:
        """What is known of candidates, as JSON data.

        Args:
            trials: theirs, as `select` gives them; None for all.
        """
        plain = {name: self._field(name) for name in _ROW}
        final = {row["candidate"]: row for row in final_rows(self._record, self._all)}
        return [
            {
                **{name: value(trial) for name, value in plain.items()},
                **{
                    group: {name: _cell(value) for name, value in values(trial).items()}
                    for group, (_, values) in _GROUPS.items()
                },
                "trials": self._numbers[trial.candidate],
                "final": final.get(trial.candidate),
            }
            for trial in (self.trials if trials is None else trials)
        ]

    def columns(self, fields: Collection[str] | None = None) -> dict[str, Any]:
        """All candidates by number, as columns of equal length; for plots.

        Args:
            fields: columns beside `candidate` and `trial`: their names, or `figures`, `choices`,
                `distillation` for all of the group; None for everything.

        Returns:
            `candidate`, `trial`, `state`, `epochs`, `feasible`, `on_front`, and the groups
            `figures`, `choices` and `distillation` by name. None stands where a candidate has no
            value, or one that is not finite.

        Raises:
            UnknownNameError: a column that there is not.
        """
        for name in fields or ():
            if name not in _COLUMNS and name not in _GROUPS and name not in self.kinds:
                raise UnknownNameError("field", name, {*_COLUMNS, *_GROUPS, *self.kinds})
        wanted = {"candidate", "trial", *(fields or (*_COLUMNS, *_GROUPS))}
        result: dict[str, Any] = {
            name: list(map(self._field(name), self.trials)) for name in _COLUMNS if name in wanted
        }
        for group, (prefix, values) in _GROUPS.items():
            table = list(map(values, self.trials))
            result[group] = {
                name: [_cell(row.get(name)) for row in table]
                for name in _names_in(table)
                if group in wanted or prefix + name in wanted
            }
        return result

    def csv(self) -> Iterator[str]:
        """The lines of a CSV file (RFC 4180) of all candidates, its header first.

        A text that a spreadsheet would take for a formula gets an apostrophe before it.
        """
        columns = self.columns()
        table = {name: columns[name] for name in _COLUMNS}
        for group, (prefix, _) in _GROUPS.items():
            table |= {prefix + name: column for name, column in columns[group].items()}
        writer = csv.writer(_Echo())
        yield writer.writerow(map(_harmless, table))
        for cells in zip(*table.values(), strict=True):
            yield writer.writerow(map(_harmless, cells))

    def _field(self, name: str) -> Callable[[Trial], Value]:
        """What gives the value of a field."""
        if name in _PLAIN:
            return _PLAIN[name][1]
        if name == "on_front":
            front = self._front
            return lambda trial: trial.candidate in front
        group, _, own = name.partition(".")
        if not own or group not in _GROUPS:
            return lambda trial: finite(trial.figures.get(name))
        values = _GROUPS[group][1]
        if self.kinds[name] == "text":
            return lambda trial: _text(values(trial).get(own))
        return lambda trial: values(trial).get(own)

    @cached_property
    def _front(self) -> frozenset[int]:
        front = ParetoFront.from_trials(self._all, objectives_of(self._record))
        return frozenset(trial.candidate for trial in front.trials)

    @cached_property
    def _numbers(self) -> Mapping[int, list[int]]:
        """Of all trials of a candidate, of whatever kind."""
        numbers = defaultdict(list)
        for trial in self._all:
            numbers[trial.candidate].append(trial.number)
        return numbers


class _Echo:
    """A file that gives back what is written, so that a CSV writer makes lines of text."""

    def write(self, line: str) -> str:
        return line


def _knowledge(trial: Trial) -> tuple[int, int]:
    return epochs_done(trial), trial.number


def _names_in(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """All names in the rows, in the order of first use."""
    names: dict[str, None] = {}
    for row in rows:
        if not names.keys() >= row.keys():
            names |= dict.fromkeys(row)
    return list(names)


def _samples_in(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """By name, in the order of first use: a value of each type that the rows have under it."""
    samples: dict[str, dict[type, Any]] = {}
    for row in rows:
        for name, value in row.items():
            types = samples.setdefault(name, {})
            if type(value) not in types:
                types[type(value)] = value
    return {name: list(types.values()) for name, types in samples.items()}


def _text(value: Value) -> str | None:
    return None if value is None else str(value)


def _cell(value: Any) -> Any:
    return finite(value) if type(value) is float else value


def _harmless(cell: Value) -> Value:
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, str) and cell.startswith(_FORMULA) and not _is_number(cell):
        return f"'{cell}"
    return cell


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

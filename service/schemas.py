"""What the API takes and gives, as types that its OpenAPI document is made from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    JsonValue,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from autokd.spec import Quantity
from service.names import NAME, is_id
from service.problems import Problem

Figures = dict[str, float | None]
"""Numbers by name; null where there is none."""

Choice = bool | int | float | str


def moment_text(moment: datetime) -> str:
    """A moment in UTC as the API writes it."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


Moment = Annotated[datetime, PlainSerializer(moment_text, return_type=str, when_used="json")]


@dataclass(frozen=True)
class Spelled:
    """Annotates text of a pattern, of which people are told in words.

    Attributes:
        pattern: a regular expression of the whole text.
        words: what is expected.
    """

    pattern: str
    words: str

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Tells pydantic to check it."""
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Tells programs of the pattern."""
        return {**handler(schema), "pattern": f"^{self.pattern}$"}

    def _checked(self, text: str) -> str:
        if re.fullmatch(self.pattern, text) is None:
            raise ValueError(f"expected {self.words}")
        return text


def size_of(given: str | float) -> Quantity:
    """The size that a text like `20k` or `64KiB` spells, which needs no teacher to be one.

    Raises:
        ValueError: it spells none.
    """
    expected = "expected a size like 20k or 64KiB"
    try:
        quantity = Quantity.parse(given)
    except ValueError as error:  # which speaks of sizes of other places too
        raise ValueError(expected) from error
    if quantity.relative or quantity.text.endswith("ms"):
        raise ValueError(expected)
    return quantity


def _no_id(name: str) -> str:
    if is_id(name):
        raise ValueError("expected a name that is no id")
    return name


Name = Annotated[
    str,
    Spelled(NAME, "at most 100 letters, digits, '.', '_' and '-', the first a letter or digit"),
    AfterValidator(_no_id),
]
Line = Annotated[
    str, Spelled(r"[^\x00-\x1f\x7f-\x9f]*", "one line of text, without control characters")
]
"""Text without control characters: databases refuse some, and terminals obey others."""

Label = Annotated[Line, StringConstraints(max_length=200)]
Labels = Annotated[
    dict[
        Annotated[
            str,
            Spelled(
                r"[A-Za-z0-9][A-Za-z0-9._/-]{0,62}",
                "at most 63 letters, digits, '.', '_', '/' and '-', the first a letter or digit",
            ),
        ],
        Label,
    ],
    Field(max_length=32, json_schema_extra={"additionalProperties": False}),
]

Data = Annotated[JsonValue, WithJsonSchema({})]
"""Anything that JSON can say, some 250 levels deep."""


class Given(BaseModel):
    """A body of a request: unknown fields are mistakes."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Told(BaseModel):
    """A body of a response: NaN and infinities are null."""

    model_config = ConfigDict(ser_json_inf_nan="null")


Item = TypeVar("Item")


class Page(Told, Generic[Item]):
    """A part of a list."""

    items: list[Item]
    next_page_token: str | None = Field(None, description="`page_token` of the next part.")
    total: int = Field(description="Items in the whole list.")


class Objective(Told):
    """One axis of the front."""

    metric: str
    direction: Literal["minimize", "maximize"]


class Row(Told):
    """One trial: its figures, and the choices that made it."""

    model_config = ConfigDict(extra="allow", ser_json_inf_nan="null")

    trial: int
    candidate: int
    epochs: int
    choices: dict[str, Choice]
    distillation: dict[str, Choice]


class FinalRow(Told):
    """One retrained candidate: means over its seeds, and the baseline without the teacher."""

    model_config = ConfigDict(extra="allow", ser_json_inf_nan="null")

    trial: int
    candidate: int
    epochs: int
    seeds: int


class Counts(Told):
    """Search trials by how they ended."""

    total: int
    complete: int
    pruned: int = Field(description="Stopped at a lower rung.")
    infeasible: int = Field(description="Over budget: recorded, never trained.")
    failed: int
    unfinished: int


class Limits(Told):
    """When the search ends; null: no such limit."""

    trials: int | None
    epochs: float | None
    seconds: float | None
    failures: int | None
    converged: float | None


def file_of(media_type: str) -> dict[int | str, dict[str, Any]]:
    """An operation's `responses` where it answers with a file."""
    content = {media_type: {"schema": {"type": "string"}}}
    return {200: {"description": "The file.", "content": content}}


StudyStatus = Literal[
    "created",
    "queued",
    "running",
    "pausing",
    "paused",
    "stopping",
    "cancelling",
    "cancelled",
    "completed",
    "stopped",
    "failed",
    "interrupted",
]


class Study(Told):
    """A search and how far it got."""

    id: str = Field(examples=["std_12"])
    name: str = Field(examples=["digits"])
    state: StudyStatus
    stop_reason: str | None = Field(description="Why the search ended, if it did.")
    error: str | None = Field(description="Why it failed, if it did.")
    labels: dict[str, str]
    created: Moment
    updated: Moment
    deleted: Moment | None
    seconds: float = Field(description="Wall time spent searching.")
    objectives: list[Objective]
    budget: Figures = Field(description="What a student may cost, in absolute numbers.")
    limits: Limits
    teacher: Figures = Field(description="The teacher's figures, once they are known.")
    trials: Counts
    progress: float = Field(ge=0, le=1, description="Share of the nearest limit.")
    seconds_left: float | None = Field(description="A guess, while it runs.")
    best: Row | None = Field(description="The front's best of the first objective.")
    front_size: int
    hypervolume: list[float] = Field(description="Over the trials so far, at most 32 values.")


class HealthNote(Told):
    """Something about a study that its owner should know."""

    level: Literal["info", "warning", "error"]
    code: str
    message: str


class TeacherEpoch(Told):
    """A finished epoch of the teacher's training."""

    epoch: int
    metrics: Figures


class StudyDetail(Study):
    """A study with its file and its results."""

    spec: dict[str, Any] = Field(description="The study file.")
    front: list[Row]
    final: list[FinalRow]
    health: list[HealthNote]
    teacher_epoch: TeacherEpoch | None = Field(
        description="The last one that has ended, as long as the teacher trains."
    )


EXAMPLE_SPEC: dict[str, Data] = {
    "name": "digits",
    "data": {"name": "digits"},
    "teacher": {"model": "resnet20"},
    "space": {"name": "hierarchical_graph"},
    "distillation": {"losses": [{"name": "kd"}]},
    "budget": {"parameters": "0.1x"},
    "fidelity": {"min_epochs": 2, "max_epochs": 18},
    "limits": {"trials": 40},
}


class NewStudy(Given):
    """A study to be run."""

    spec: dict[str, Data] = Field(
        description="A study file as JSON; see /api/v1/spec_schema.", examples=[EXAMPLE_SPEC]
    )
    labels: Labels = Field({}, description="Words of yours, by name.")
    paused: bool = Field(False, description="Whether it waits until it is resumed.")


class StudyChanges(Given):
    """What may be changed of a study."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"labels": {"team": "vision"}, "limits": {"trials": 80}}]}
    )

    name: Name | None = None
    labels: Labels | None = Field(None, description="All labels; those left out are removed.")
    limits: dict[str, Data] | None = Field(None, description="Those of the spec that change.")


class Extension(Given):
    """Larger limits."""

    limits: dict[str, Data] = Field(examples=[{"trials": 80}])


class Cloning(Given):
    """A new study like another one."""

    name: Name
    changes: dict[Annotated[str, StringConstraints(max_length=100)], Data] = Field(
        {}, description="By dotted path.", examples=[{"limits.trials": 80}]
    )
    labels: Labels = {}
    paused: bool = False


class CheckResult(Told):
    """What a study means, without training: what `autokd check` says."""

    study: str
    teacher: Figures
    smallest: Figures
    median: Figures
    largest: Figures
    budget: Figures
    feasible_share: float
    samples: int
    nearest: str | None
    workers: int
    teacher_seconds: float
    estimated_seconds: float


OperationState = Literal["queued", "running", "succeeded", "failed", "cancelled"]


class Operation(Told):
    """Work that takes longer than a request."""

    id: str = Field(examples=["op_5"])
    kind: Literal["export", "purge", "retry", "cancel_trial", "enqueue"]
    study: str | None
    state: OperationState
    done: bool
    created: Moment
    started: Moment | None
    ended: Moment | None
    request: dict[str, Any]
    response: dict[str, Any] | None
    error: Problem | None

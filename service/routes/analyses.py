"""What a study's record shows: fronts, growth, what mattered, and reports."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import AfterValidator
from starlette.responses import HTMLResponse

from autokd import analysis
from autokd.analysis.report_html import report_html
from autokd.report import summarise
from service.access import Reader
from service.context import SettingsOf, StoreOf, StudiesOf, StudyOf
from service.intake import shown_record
from service.problems import RESPONSES
from service.routes.candidates import candidates_of
from service.schemas import Choice, Figures, Moment, Objective, Row, Told, file_of, size_of

router = APIRouter(tags=["analyses"], responses=RESPONSES)


def _is_size(text: str) -> str:
    size_of(text)
    return text


Limit = Annotated[
    Annotated[str, AfterValidator(_is_size)] | None,
    Query(max_length=40, examples=["20k", "64KiB"]),
]
Metric = Annotated[str | None, Query(max_length=100, examples=["accuracy"])]


class Columns(Told):
    """All candidates as columns of equal length."""

    candidate: list[int]
    trial: list[int]
    state: list[str] | None = None
    epochs: list[int] | None = None
    feasible: list[bool] | None = None
    on_front: list[bool] | None = None
    figures: dict[str, list[float | None]] = {}
    choices: dict[str, list[Choice | None]] = {}
    distillation: dict[str, list[Choice | None]] = {}


class Place(Told):
    """A value on each axis; null where there is none."""

    x: float | None
    y: float | None


class BaselinePoint(Place):
    """A retrained candidate that was taught nothing."""

    candidate: int


class Front(Told):
    """The Pareto front over two figures, and what stands around it."""

    x: Objective
    y: Objective
    front: list[Row]
    teacher: Place
    budget: Place
    baseline: list[BaselinePoint]
    hypervolume: float | None
    reference: Figures


class Growth(Told):
    """One moment in the growth of a front."""

    trial: int
    finished: int
    seconds: float | None
    hypervolume: float | None
    best: float | None


class Hypervolume(Told):
    """How the hypervolume and the best first objective grew."""

    reference: Figures
    points: list[Growth]


class Importances(Told):
    """How much each parameter matters for a metric."""

    metric: str
    method: Literal["ped_anova", "fanova"]
    trials: int
    importances: dict[str, float | None]


class RankPair(Told):
    """How well one rung foretells another."""

    low: int
    high: int
    n: int
    spearman: float | None
    kendall: float | None


class RankCorrelation(Told):
    """How well the rungs foretell each other."""

    metric: str
    rungs: list[int]
    pairs: list[RankPair]


class TimelineAttempt(Told):
    """One lease of a worker on a trial."""

    trial: int
    kind: str
    n: int
    state: str
    started: Moment
    ended: Moment | None
    slot: int


class Timeline(Told):
    """When which trial ran where."""

    attempts: list[TimelineAttempt]


class SurvivalRung(Told):
    """How many trials reached a rung."""

    epochs: int
    reached: int


class Survival(Told):
    """How many trials reached each rung."""

    rungs: list[SurvivalRung]


@router.get("/studies/{study}/columns", response_model=Columns)
def read_columns(
    _caller: Reader,
    study: StudyOf,
    studies: StudiesOf,
    fields: Annotated[
        str | None,
        Query(max_length=2000, description="Comma-separated.", examples=["accuracy,parameters"]),
    ] = None,
) -> Any:
    """Reads all candidates as columns, for plots."""
    wanted = tuple(fields.split(",")) if fields else None
    return studies.document(
        study,
        ("columns", wanted),
        Columns,
        lambda trials: candidates_of(study, studies).columns(wanted),
    )


@router.get("/studies/{study}/front", response_model=Front)
def read_front(
    _caller: Reader,
    study: StudyOf,
    studies: StudiesOf,
    x: Metric = None,
    y: Metric = None,
    rung: Annotated[int | None, Query(ge=1, description="Compare after so many epochs.")] = None,
    max_parameters: Limit = None,
    max_memory: Limit = None,
    max_macs: Limit = None,
    max_weight: Limit = None,
) -> Any:
    """Reads the Pareto front over two figures, of the students within limits."""
    limits = _limits(max_parameters, max_memory, max_macs, max_weight)
    key = ("front", x, y, rung, tuple(limits.items()))
    return studies.document(
        study,
        key,
        Front,
        lambda trials: analysis.front(study, trials, x, y, limits=limits, rung=rung),
    )


@router.get("/studies/{study}/best", response_model=Row)
def read_best(
    _caller: Reader,
    study: StudyOf,
    studies: StudiesOf,
    max_parameters: Limit = None,
    max_memory: Limit = None,
    max_macs: Limit = None,
    max_weight: Limit = None,
) -> Any:
    """Reads the student of best first objective within limits."""
    limits = _limits(max_parameters, max_memory, max_macs, max_weight)
    return studies.document(
        study,
        ("best", tuple(limits.items())),
        Row,
        lambda trials: analysis.best(study, trials, limits),
    )


@router.get("/studies/{study}/hypervolume", response_model=Hypervolume)
def read_hypervolume(_caller: Reader, study: StudyOf, studies: StudiesOf, store: StoreOf) -> Any:
    """Reads how the hypervolume grew, over trials and over seconds."""
    return studies.document(
        study,
        "hypervolume",
        Hypervolume,
        lambda trials: analysis.hypervolume(study, trials, store.attempts(study.id)),
    )


@router.get("/studies/{study}/importances", response_model=Importances)
def read_importances(
    _caller: Reader,
    study: StudyOf,
    studies: StudiesOf,
    metric: Metric = None,
    method: Literal["ped_anova", "fanova"] = "ped_anova",
) -> Any:
    """Reads how much each parameter matters for a metric."""
    return studies.document(
        study,
        ("importances", metric, method),
        Importances,
        lambda trials: analysis.importances(study, trials, metric, method),
    )


@router.get("/studies/{study}/rank_correlation", response_model=RankCorrelation)
def read_rank_correlation(
    _caller: Reader, study: StudyOf, studies: StudiesOf, metric: Metric = None
) -> Any:
    """Reads how well the rungs foretell each other."""
    return studies.document(
        study,
        ("ranks", metric),
        RankCorrelation,
        lambda trials: analysis.rank_correlation(study, trials, metric),
    )


@router.get("/studies/{study}/survival", response_model=Survival)
def read_survival(_caller: Reader, study: StudyOf, studies: StudiesOf) -> Any:
    """Reads how many trials reached each rung."""
    return studies.document(
        study, "survival", Survival, lambda trials: analysis.survival(study, trials)
    )


@router.get("/studies/{study}/timeline", response_model=Timeline)
def read_timeline(_caller: Reader, study: StudyOf, studies: StudiesOf, store: StoreOf) -> Any:
    """Reads when which trial ran."""
    return studies.document(
        study,
        "timeline",
        Timeline,
        lambda trials: analysis.timeline(trials, store.attempts(study.id)),
    )


@router.get("/studies/{study}/report.json", response_model=dict[str, Any])
def read_report(_caller: Reader, study: StudyOf, studies: StudiesOf) -> Any:
    """Reads the study's result as `autokd search --json` prints it."""
    return summarise(study, studies.trials(study))


@router.get(
    "/studies/{study}/report.html", response_class=HTMLResponse, responses=file_of("text/html")
)
def download_report(
    _caller: Reader, study: StudyOf, studies: StudiesOf, store: StoreOf, settings: SettingsOf
) -> HTMLResponse:
    """Downloads a report that stands alone: pictures, tables and settings in one file."""
    shown = shown_record(study, settings, store)
    return HTMLResponse(
        report_html(shown, studies.trials(study)),
        headers={
            "Content-Disposition": f'attachment; filename="{study.name}.html"',
            "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
        },
    )


def _limits(
    max_parameters: str | None,
    max_memory: str | None,
    max_macs: str | None,
    max_weight: str | None,
) -> dict[str, float]:
    """Largest figures by name, from text like 20k and 64KiB."""
    given = {
        "parameters": max_parameters,
        "peak_activation_bytes": max_memory,
        "macs": max_macs,
        "weight_bytes": max_weight,
    }
    return {name: size_of(text).amount for name, text in given.items() if text is not None}

"""Candidates: what was proposed, how it looks, what it costs, and proposals of one's own."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import ConfigDict, Field
from starlette.responses import PlainTextResponse, StreamingResponse

from autokd.analysis import Candidates
from autokd.describing import candidate_card
from autokd.drawing.svg import draw
from autokd.errors import DataError, NotFoundError, SpecError, TeacherError
from autokd.spec.names import CUSTOM
from autokd.store import StudyRecord
from autokd.trial import Trial, TrialKind
from service.access import Launcher, Reader
from service.context import SettingsOf, StoreOf, StudiesOf, StudyOf, inspected
from service.intake import shown_record
from service.once import OnceRoute
from service.paging import PagingOf
from service.problems import RESPONSES, FieldProblem, Refusal, pointer_to
from service.record import Studies
from service.routes.trials import TrialSummary, ask, trial_json
from service.schemas import Choice, Figures, FinalRow, Given, Operation, Page, Told, file_of

router = APIRouter(tags=["candidates"], responses=RESPONSES, route_class=OnceRoute)

CandidateNumber = Annotated[int, Path(ge=0, le=2**31 - 1, description="Number of the candidate.")]


class Candidate(Told):
    """An architecture with its distillation settings."""

    number: int
    trial: int = Field(description="Number of the trial that tells most of it.")
    state: str
    feasible: bool
    on_front: bool
    epochs: int
    figures: Figures
    choices: dict[str, Choice]
    distillation: dict[str, Choice]
    draw: int = Field(description="Seed of the draw, in spaces of random graphs.")
    trials: list[int]
    final: FinalRow | None


class CandidateDetail(Candidate):
    """A candidate with its retrainings."""

    repeats: list[TrialSummary] = Field(description="Its trials of the final stage.")


class Layer(Told):
    """A node of a student's graph."""

    id: str
    label: str
    operation: str
    stage: int = Field(description="Ascends where images get smaller; the head is the last.")
    channels: int | None
    shape: list[int]
    parameters: float
    macs: float
    bytes: float


class Edge(Told):
    """What flows from one node to another."""

    source: str
    target: str


class Graph(Told):
    """A student as a graph, with what each node costs."""

    nodes: list[Layer]
    edges: list[Edge]
    totals: Figures
    teacher: Figures


async def _graph(
    request: Request, study: StudyOf, number: CandidateNumber, studies: StudiesOf
) -> dict[str, Any]:
    candidates = await run_in_threadpool(candidates_of, study, studies)
    architecture = _trial(candidates, study, number).architecture
    return await inspected(request, lambda inspector: inspector.graph(study.spec, architecture))


GraphOf = Annotated[dict[str, Any], Depends(_graph)]
"""The student of the candidate in a path, as a graph."""


class NewCandidate(Given):
    """A candidate of one's own."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "choices": {
                        "top_nodes": 3,
                        "middle_nodes": 1,
                        "bottom_nodes": 3,
                        "parameter_fraction": 0.5,
                    },
                    "distillation": {"kd.temperature": 4.0},
                    "draw": 7,
                }
            ]
        }
    )

    choices: dict[str, Choice] = Field(
        max_length=1000, description="Of every parameter that exists in it."
    )
    distillation: dict[str, Choice] = Field(
        {}, max_length=1000, description="Of every searched setting."
    )
    draw: int = Field(0, ge=0, lt=2**31, description="Seed of the draw.")


@router.get("/studies/{study}/candidates", response_model=Page[Candidate])
def list_candidates(
    _caller: Reader,
    study: StudyOf,
    studies: StudiesOf,
    paging: PagingOf,
    filter: Annotated[
        str,
        Query(max_length=2000, examples=["parameters<=20k,state=complete|paused,accuracy>0.9"]),
    ] = "",
    order_by: Annotated[str, Query(max_length=500, examples=["-accuracy,parameters"])] = "",
) -> Any:
    """Lists candidates; filters and orders take any figure, `choices.NAME`, `distillation.NAME`."""

    def found(trials: list[Trial]) -> list[Trial]:
        return candidates_of(study, studies).select(filter, order_by)

    def page(trials: list[Trial]) -> dict[str, Any]:
        matching = studies.derived(study, ("candidates", filter, order_by), found)
        part = paging.page(matching, lambda trial: trial)
        return {**part, "items": candidates_of(study, studies).rows(part["items"])}

    return studies.document(study, paging, Page[Candidate], page)


@router.get(
    "/studies/{study}/candidates.csv",
    response_class=StreamingResponse,
    responses=file_of("text/csv"),
)
def download_candidates(_caller: Reader, study: StudyOf, studies: StudiesOf) -> StreamingResponse:
    """Downloads all candidates as CSV."""
    return StreamingResponse(
        candidates_of(study, studies).csv(),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{study.name}-candidates.csv"'},
    )


@router.post("/studies/{study}/candidates", status_code=202, response_model=Operation)
async def enqueue_candidate(
    request: Request,
    caller: Launcher,
    study: StudyOf,
    candidate: NewCandidate,
    store: StoreOf,
    response: Response,
) -> Any:
    """Has a candidate of one's own evaluated; a study that has ended goes on to do it."""
    named = candidate.model_dump()
    if not _is_of_a_program(study):
        try:
            await inspected(request, lambda inspector: inspector.admit(study.spec, named))
        except SpecError as error:
            raise _no_candidate(error) from error
        except (DataError, TeacherError):
            pass  # they lie where the coordinator runs, which then says what it thinks of it
    return await run_in_threadpool(ask, "enqueue", study, named, store, caller, response)


@router.get("/studies/{study}/candidates/{number}", response_model=CandidateDetail)
def read_candidate(
    _caller: Reader, study: StudyOf, number: CandidateNumber, studies: StudiesOf
) -> Any:
    """Reads a candidate with its retrainings."""
    candidates = candidates_of(study, studies)
    trial = _trial(candidates, study, number)
    repeats = [
        trial_json(each)
        for each in studies.trials(study)
        if each.candidate == number and each.kind is not TrialKind.SEARCH
    ]
    (row,) = candidates.rows([trial])
    return {**row, "repeats": repeats}


@router.get("/studies/{study}/candidates/{number}/graph", response_model=Graph)
def read_graph(_caller: Reader, graph: GraphOf) -> Any:
    """Reads a student as a graph, with what each node costs."""
    return graph


@router.get(
    "/studies/{study}/candidates/{number}/graph.svg",
    response_class=Response,
    responses=file_of("image/svg+xml"),
)
def draw_graph(
    _caller: Reader, study: StudyOf, number: CandidateNumber, graph: GraphOf
) -> Response:
    """Downloads the picture of a student's graph."""
    name = f"{study.name}-{number}.svg"
    return Response(
        draw(graph),
        media_type="image/svg+xml",
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
        },
    )


@router.get(
    "/studies/{study}/candidates/{number}/model_card",
    response_class=Response,
    responses=file_of("text/markdown"),
)
def read_model_card(
    _caller: Reader,
    study: StudyOf,
    number: CandidateNumber,
    studies: StudiesOf,
    store: StoreOf,
    settings: SettingsOf,
) -> PlainTextResponse:
    """Reads what there is to know of a student, as Markdown."""
    trial = _trial(candidates_of(study, studies), study, number)
    shown = shown_record(study, settings, store)
    text = candidate_card(shown, studies.trials(study), trial)
    return PlainTextResponse(text, media_type="text/markdown; charset=utf-8")


def candidates_of(study: StudyRecord, studies: Studies) -> Candidates:
    """The candidates that the search of a study has proposed."""
    return studies.derived(study, "candidates", lambda trials: Candidates(study, trials))


def _is_of_a_program(study: StudyRecord) -> bool:
    """Whether data, teacher or space is an object of a Python program, which only that knows."""
    spec = study.spec
    named = spec["data"]["name"], spec["teacher"]["model"], spec["space"]["name"]
    return CUSTOM in named


def _no_candidate(error: SpecError) -> Refusal:
    """The refusal that says what is wrong with a candidate, by its place in the body.

    A parameter's name may have dots in it, so only the first one of a path parts it.
    """
    fields = [
        FieldProblem(
            pointer=pointer_to(*mistake.path.split(".", 1)),
            message=mistake.message,
            hint=mistake.hint,
        )
        for mistake in error.mistakes
    ]
    detail = error.message.partition("\n")[0].rstrip(":")
    return Refusal(422, "invalid_candidate", detail, fields=fields)


def _trial(candidates: Candidates, study: StudyRecord, number: int) -> Trial:
    trial = next((each for each in candidates.trials if each.candidate == number), None)
    if trial is None:
        raise NotFoundError(f"study {study.name!r} has no candidate {number}")
    return trial

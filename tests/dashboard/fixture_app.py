"""A service that never trains: serves the dashboard and answers its API from made-up studies.

Run:  python -m tests.dashboard.fixture_app [port]
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from service.routes import pages
from service.spec_schema import Known, spec_schema
from tests.dashboard import fixture_data as data

DASHBOARD = Path(__file__).parents[2] / "service" / "dashboard"
CSP = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; frame-ancestors 'none'"
)
TOKEN = "akd_fixture"


class Answer(Exception):
    """A problem document on its way out."""

    def __init__(self, status: int, code: str, detail: str, **more: Any) -> None:
        self.document = {"type": "about:blank", "title": code.replace("_", " "), "status": status}
        self.document |= {"detail": detail, "code": code, "request_id": "req_1", **more}


class Service:
    """The fixture's state: studies, operations, tokens, webhooks, and who listens to events."""

    def __init__(self, events_per_second: float = 0) -> None:
        self.studies = {study.id: study for study in data.studies()}
        self.operations: dict[str, dict[str, Any]] = {}
        self.exports: dict[str, dict[str, Any]] = {}
        self.tokens = [_token("tok_1", "laptop", "admin"), _token("tok_2", "ci", "launch")]
        self.webhooks = [_webhook("whk_1", "https://hooks.example.com/autokd")]
        self.listeners: set[asyncio.Queue[dict[str, Any]]] = set()
        self.events_per_second = events_per_second
        self.event = 0
        self.signed_in = True

    def study(self, request: Request) -> data.FixtureStudy:
        wanted = request.path_params["study"]
        for study in self.studies.values():
            if wanted in (study.id, study.name):
                return study
        raise Answer(404, "not_found", f"no study {wanted!r}", hint="look at the list of studies")

    def emit(self, kind: str, study: str, content: dict[str, Any]) -> None:
        self.event += 1
        event = {"number": self.event, "study": study, "time": data.NOW, "kind": kind}
        for listener in self.listeners:
            listener.put_nowait({**event, "data": content})

    def operation(self, kind: str, study: str, response: dict[str, Any]) -> JSONResponse:
        number = f"op_{len(self.operations) + 1}"
        self.operations[number] = {
            "id": number,
            "kind": kind,
            "study": study,
            "state": "succeeded",
            "done": True,
            "created": data.NOW,
            "started": data.NOW,
            "ended": data.NOW,
            "request": {},
            "response": response,
            "error": None,
        }
        return JSONResponse(self.operations[number], 202)


def _token(id: str, name: str, scope: str) -> dict[str, Any]:
    return {
        "id": id,
        "name": name,
        "scope": scope,
        "created": "2026-11-02T10:00:00Z",
        "expires": None if scope == "admin" else "2027-02-01T10:00:00Z",
        "last_used": "2026-11-20T11:59:00Z",
        "limits": {},
    }


def _webhook(id: str, url: str) -> dict[str, Any]:
    return {"id": id, "url": url, "kinds": ["study"], "created": "2026-11-05T10:00:00Z"}


def _page(request: Request, items: list[Any]) -> JSONResponse:
    size = int(request.query_params.get("page_size", 50))
    start = int(request.query_params.get("page_token", 0))
    more = str(start + size) if start + size < len(items) else None
    return JSONResponse(
        {"items": items[start : start + size], "next_page_token": more, "total": len(items)}
    )


# --- studies ------------------------------------------------------------------------------------


async def list_studies(service: Service, request: Request) -> Response:
    query = request.query_params
    deleted = query.get("deleted") == "true"
    found = [study.summary() for study in service.studies.values()]
    found = [study for study in found if (study["deleted"] is not None) == deleted]
    if query.get("q"):
        found = [study for study in found if query["q"].lower() in study["name"].lower()]
    if query.get("state"):
        found = [study for study in found if study["state"] in query["state"].split("|")]
    if query.get("label"):
        key, _, value = query["label"].partition(":")
        found = [study for study in found if study["labels"].get(key) == value]
    return _page(request, found)


async def create_study(service: Service, request: Request) -> Response:
    spec = (await request.json())["spec"]
    wrong = [
        {"pointer": f"/{name}", "message": f"expected a {name}, got nothing", "hint": None}
        for name in ("name", "data", "teacher", "space", "objectives")
        if not spec.get(name)
    ]
    if wrong:
        raise Answer(422, "invalid_spec", f"{len(wrong)} mistakes in the study", errors=wrong)
    if request.query_params.get("validate_only"):
        return JSONResponse(
            {
                "study": spec["name"],
                "teacher": {k: v for k, v in data.TEACHER.items() if "accuracy" not in k},
                "smallest": {"parameters": 2911, "peak_activation_bytes": 11008, "macs": 31012},
                "median": {"parameters": 14320, "peak_activation_bytes": 34816, "macs": 180224},
                "largest": {"parameters": 27190, "peak_activation_bytes": 91136, "macs": 402432},
                "budget": data.BUDGET,
                "feasible_share": 0.735,
                "samples": 200,
                "nearest": None,
                "workers": 2,
                "teacher_seconds": 42.0,
                "estimated_seconds": 411.0,
            }
        )
    number = f"std_{len(service.studies) + 1}"
    study = data.FixtureStudy(number, spec["name"], "queued", 0, 100, None, {})
    service.studies[number] = study
    service.emit("study", number, {"state": "queued"})
    return JSONResponse(study.detail(), 201)


async def get_study(service: Service, request: Request) -> Response:
    study = service.study(request)
    return JSONResponse(study.detail(), headers={"ETag": f'"{study.id}-{study.state}"'})


async def change_study(service: Service, request: Request) -> Response:
    study, body = service.study(request), await request.json()
    study.labels = body.get("labels", study.labels)
    study.name = body.get("name", study.name)
    return JSONResponse(study.summary())


async def delete_study(service: Service, request: Request) -> Response:
    study = service.study(request)
    study.deleted = data.NOW
    service.emit("study", study.id, {"deleted": True})
    return Response(status_code=204)


VERBS = {
    "pause": "pausing",
    "resume": "running",
    "stop": "stopping",
    "cancel": "cancelled",
    "extend": "running",
}


async def study_verb(service: Service, request: Request) -> Response:
    study, verb = service.study(request), request.path_params["verb"]
    if verb == "purge":
        return service.operation("purge", study.id, {"bytes": 48_300_000})
    if verb == "undelete":
        study.deleted = None
    elif verb in VERBS:
        study.state = VERBS[verb]
        study.stop_reason = "user" if verb == "cancel" else None
    service.emit("study", study.id, {"state": study.state})
    return JSONResponse(study.summary())


# --- reading a study ----------------------------------------------------------------------------

CONDITION = re.compile(r"\s*([\w.]+)\s*(<=|>=|!=|=|<|>)\s*(.+?)\s*$")
COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}
UNITS = {"k": 1e3, "M": 1e6, "KiB": 1024, "MiB": 1024**2}


def _number(text: str) -> float:
    unit = next((unit for unit in sorted(UNITS, key=len, reverse=True) if text.endswith(unit)), "")
    return float(text.removesuffix(unit)) * UNITS.get(unit, 1)


def _chosen(study: data.FixtureStudy, text: str) -> list[int]:
    chosen = list(range(study.size))
    for condition in filter(None, text.split(",")):
        match = CONDITION.match(condition)
        if match is None:
            raise Answer(
                400,
                "invalid_filter",
                f"expected name, operator, value; got {condition!r}",
                hint="parameters<=20k, state=complete|paused",
            )
        name, operator, value = match.groups()
        if name == "state":
            allowed = value.split("|")
            chosen = [i for i in chosen if (study.states[i] in allowed) == (operator == "=")]
            continue
        if name in ("on_front", "feasible"):
            flags = set(study.front) if name == "on_front" else set(study.feasible.nonzero()[0])
            chosen = [i for i in chosen if (i in flags) == (value == "true")]
            continue
        values = study.figures.get(name) or study.choices.get(name)
        if name in ("candidate", "number", "trial"):
            values = list(range(study.size))
        if values is None:
            raise Answer(400, "invalid_filter", f"no column {name!r}", hint="accuracy, parameters")
        limit, test = _number(value), COMPARE[operator]
        chosen = [i for i in chosen if values[i] is not None and test(values[i], limit)]
    return chosen


def _ordered(study: data.FixtureStudy, chosen: list[int], order: str) -> list[int]:
    name = order.lstrip("-")
    values = study.figures.get(name)
    if values is None:
        return sorted(chosen, reverse=order.startswith("-"))
    known = [i for i in chosen if values[i] is not None]
    unknown = [i for i in chosen if values[i] is None]
    return sorted(known, key=lambda i: values[i], reverse=order.startswith("-")) + unknown


async def candidates(service: Service, request: Request) -> Response:
    study, query = service.study(request), request.query_params
    chosen = _ordered(
        study, _chosen(study, query.get("filter", "")), query.get("order_by", "number")
    )
    size, start = int(query.get("page_size", 50)), int(query.get("page_token", 0))
    more = str(start + size) if start + size < len(chosen) else None
    items = [study.candidate(i) for i in chosen[start : start + size]]
    return JSONResponse({"items": items, "next_page_token": more, "total": len(chosen)})


async def candidates_csv(service: Service, request: Request) -> Response:
    study, text = service.study(request), io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["candidate", *study.figures])
    for i in _chosen(study, request.query_params.get("filter", "")):
        writer.writerow([i, *(values[i] for values in study.figures.values())])
    headers = {"Content-Disposition": 'attachment; filename="candidates.csv"'}
    return Response(text.getvalue(), media_type="text/csv", headers=headers)


def _candidate(service: Service, request: Request) -> tuple[data.FixtureStudy, int]:
    study, number = service.study(request), request.path_params["candidate"]
    if number >= study.size:
        raise Answer(404, "not_found", f"no candidate {number}", hint="look at the candidates")
    return study, number


async def candidate(service: Service, request: Request) -> Response:
    study, number = _candidate(service, request)
    answer = study.candidate(number)
    repeats = []
    if answer["final"]:
        repeats = [study.trial(m * 1_000_000 + number * 10 + k) for m in (1, 2) for k in range(3)]
    return JSONResponse({**answer, "repeats": repeats})


async def graph(service: Service, request: Request) -> Response:
    study, number = _candidate(service, request)
    return JSONResponse(study.graph(number))


async def model_card(service: Service, request: Request) -> Response:
    study, number = _candidate(service, request)
    text = f"# {study.name}: student of trial {number}\n\nAn image classifier for `digits`.\n"
    return Response(text, media_type="text/markdown")


async def columns(service: Service, request: Request) -> Response:
    return JSONResponse(service.study(request).columns())


async def hypervolume(service: Service, request: Request) -> Response:
    reference = {"accuracy": 0.1, "parameters": data.BUDGET["parameters"]}
    points = service.study(request).hypervolume()
    return JSONResponse({"reference": reference, "points": points})


async def best(service: Service, request: Request) -> Response:
    study = service.study(request)
    if not study.front:
        raise Answer(404, "nothing_feasible", "no student within these limits")
    return JSONResponse(study.row(study.front[0]))


async def importances(service: Service, request: Request) -> Response:
    study = service.study(request)
    if not study.front:
        raise Answer(409, "too_few_trials", "expected at least 10 finished trials, got 0")
    shares = dict(
        zip([*study.choices, *study.distillation], [9, 3, 6, 1, 4, 14, 8, 2], strict=True)
    )
    return JSONResponse(
        {
            "metric": request.query_params.get("metric", "accuracy"),
            "method": request.query_params.get("method", "ped_anova"),
            "trials": int(study.trained.sum()),
            "importances": {name: share / 47 for name, share in shares.items()},
        }
    )


async def rank_correlation(service: Service, request: Request) -> Response:
    pairs = [
        {"low": 3, "high": 9, "n": 40, "spearman": 0.71, "kendall": 0.55},
        {"low": 3, "high": 27, "n": 14, "spearman": 0.58, "kendall": 0.43},
        {"low": 9, "high": 27, "n": 14, "spearman": 0.86, "kendall": 0.7},
    ]
    return JSONResponse({"metric": "accuracy", "rungs": list(data.RUNGS), "pairs": pairs})


async def survival(service: Service, request: Request) -> Response:
    study = service.study(request)
    reached = [{"epochs": rung, "reached": int((study.rung >= rung).sum())} for rung in data.RUNGS]
    return JSONResponse({"rungs": reached})


async def timeline(service: Service, request: Request) -> Response:
    study = service.study(request)
    start, attempts = 1795161600.0, []
    for i in range(min(study.size, 60)):
        begin = start + (i // 2) * 45 + (i % 2) * 9
        attempts.append(
            {
                "trial": i,
                "kind": "search",
                "n": 1,
                "state": "failed" if study.states[i] == "failed" else "done",
                "started": _time(begin),
                "ended": _time(begin + 30 + i * 7 % 12),
                "slot": i % 2,
            }
        )
    return JSONResponse({"attempts": attempts})


def _time(seconds: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


async def trials(service: Service, request: Request) -> Response:
    study = service.study(request)
    state = request.query_params.get("state")
    numbers = [i for i in range(study.size) if not state or study.states[i] in state.split("|")]
    return _page(request, [study.trial(i) for i in numbers])


async def trial(service: Service, request: Request) -> Response:
    study, number = service.study(request), request.path_params["trial"]
    more = {"attempts": study.attempts(number), "calibration": study.calibration(number)}
    return JSONResponse({**study.trial(number), **more})


async def metrics(service: Service, request: Request) -> Response:
    return JSONResponse(service.study(request).metrics(request.path_params["trial"]))


async def logs(service: Service, request: Request) -> Response:
    text = service.study(request).log(request.path_params["trial"])
    offset = int(request.query_params.get("offset", 0))
    return JSONResponse(
        {
            "trial": request.path_params["trial"],
            "attempt": 1,
            "size": len(text),
            "offset": offset,
            "next_offset": len(text),
            "text": text[offset:],
            "ended": True,
        }
    )


async def trial_verb(service: Service, request: Request) -> Response:
    return service.operation("retry", service.study(request).id, {})


# --- exports ------------------------------------------------------------------------------------


async def create_export(service: Service, request: Request) -> Response:
    study, body = service.study(request), await request.json()
    trial = body.get("trial", study.front[0] if study.front else 0)
    number = f"exp_{len(service.exports) + 1}"
    files = [
        {"name": name, "bytes": size, "sha256": "9f2c" * 16, "verified": None}
        for name, size in (
            ("student.onnx", 112_640),
            ("student.safetensors", 109_056),
            ("student.json", 4_096),
            ("README.md", 1_912),
        )
    ]
    checked = {"accuracy": 0.9694, "largest_difference": 3.1e-6}
    files[0] |= {"verified": "test accuracy 96.94 %", **checked}
    service.exports[number] = {
        "id": number,
        "study": study.id,
        "trial": trial,
        "created": data.NOW,
        "files": files,
        "student": {
            "study": study.name,
            "trial": trial,
            "scored_on": "test",
            "recorded_accuracy": 0.9694,
            "cost": {name: study.figures[name][trial] for name in data.COSTS},
            "metrics": {"test_accuracy": 0.9694, "validation_accuracy": 0.9722},
            "files": files[:2],
        },
    }
    return service.operation("export", study.id, {"export": number})


async def list_exports(service: Service, request: Request) -> Response:
    study = service.study(request)
    return _page(request, [e for e in service.exports.values() if e["study"] == study.id])


async def get_export(service: Service, request: Request) -> Response:
    return JSONResponse(service.exports[request.path_params["export"]])


async def export_file(service: Service, request: Request) -> Response:
    name = request.path_params["name"]
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(b"student", media_type="application/octet-stream", headers=headers)


# --- the rest -----------------------------------------------------------------------------------


async def events(service: Service, request: Request) -> Response:
    listener: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    service.listeners.add(listener)

    async def stream() -> AsyncIterator[str]:
        yield "retry: 500\n\n"
        try:
            while True:
                pause = 1 / service.events_per_second if service.events_per_second else 15
                try:
                    event = await asyncio.wait_for(listener.get(), pause)
                except TimeoutError:
                    if not service.events_per_second:
                        yield ": still here\n\n"
                        continue
                    service.emit("epoch", "std_3", {"trial": 1})
                    event = await listener.get()
                yield f"id: {event['number']}\nevent: {event['kind']}\n"
                yield f"data: {json.dumps(event)}\n\n"
        finally:
            service.listeners.discard(listener)

    return StreamingResponse(stream(), media_type="text/event-stream")


async def emit(service: Service, request: Request) -> Response:
    """For tests: something happens to a study, its state changes say, and everyone is told."""
    body = await request.json()
    study, kind = body.pop("study"), body.pop("kind", "study")
    service.studies[study].state = body.get("state", service.studies[study].state)
    if kind == "teacher_epoch":
        service.studies[study].teacher_epoch = body
    service.emit(kind, study, body)
    return Response(status_code=204)


async def reset(service: Service, request: Request) -> Response:
    """For tests: everything as it was; who listens goes on listening."""
    listeners, event = service.listeners, service.event
    service.__init__(service.events_per_second)  # type: ignore[misc]
    service.listeners, service.event = listeners, event
    return Response(status_code=204)


async def session(service: Service, request: Request) -> Response:
    service.signed_in = request.method == "POST" and (await request.json())["token"] == TOKEN
    if request.method == "POST" and not service.signed_in:
        raise Answer(401, "unauthenticated", "this token is not known", hint="autokd token create")
    return Response(status_code=204)


async def operation(service: Service, request: Request) -> Response:
    return JSONResponse(service.operations[request.path_params["operation"]])


async def listing(service: Service, request: Request) -> Response:
    name = request.url.path.rsplit("/", 1)[1]
    items = {
        "operations": list(service.operations.values()),
        "tokens": service.tokens,
        "webhooks": service.webhooks,
        "workers": WORKERS,
        "audit_events": AUDIT,
        "deliveries": DELIVERIES,
        "uploads": [],
    }.get(name) or CATALOGUE.get(name, [])
    return _page(request, items)


async def create_token(service: Service, request: Request) -> Response:
    body = await request.json()
    token = _token(f"tok_{len(service.tokens) + 1}", body["name"], body["scope"])
    service.tokens.append(token)
    return JSONResponse({**token, "token": "akd_0123456789abcdef"}, 201)


async def create_webhook(service: Service, request: Request) -> Response:
    body = await request.json()
    webhook = _webhook(f"whk_{len(service.webhooks) + 1}", body["url"])
    service.webhooks.append(webhook)
    return JSONResponse({**webhook, "secret": "whsec_0123456789abcdef"}, 201)


async def try_webhook(service: Service, request: Request) -> Response:
    return JSONResponse(DELIVERIES[0], 202)


async def delete_item(service: Service, request: Request) -> Response:
    wanted = request.path_params["item"]
    service.tokens = [token for token in service.tokens if token["id"] != wanted]
    service.webhooks = [hook for hook in service.webhooks if hook["id"] != wanted]
    return Response(status_code=204)


async def fixed(service: Service, request: Request) -> Response:
    name = request.url.path.rsplit("/", 1)[1]
    if name == "spec_schema":
        return JSONResponse(spec_schema(Known((), ())))
    if name == "whoami":
        if not service.signed_in:
            raise Answer(401, "unauthenticated", "sign in first")
        who = {"name": "laptop", "scope": "admin", "limits": {}, "authentication": True}
        return JSONResponse(who)
    if name == "meta":
        return JSONResponse({"version": "0.1.0", "api": "v1", "authentication": True})
    usage = {
        "database": 18_400_000,
        "studies": 912_000_000,
        "uploads": 41_000_000,
        "teachers": 4_300_000,
        "teacher_outputs": 233_000_000,
    }
    rows = [
        {
            "study": s.id,
            "name": s.name,
            "bytes": 41_000 * (s.size + 3),
            "deleted": s.deleted is not None,
        }
        for s in service.studies.values()
    ]
    return JSONResponse({"free_bytes": 81_000_000_000, "bytes": usage, "studies": rows})


RUNNING = {"study": "std_2", "name": "fashion-mnist-edge", "slots": 2, "trials": [178, 179]}
WORKERS = [
    {
        "id": f"wrk_{n}",
        "host": f"node-{n}",
        "pid": 4000 + n,
        "started": "2026-11-20T07:00:00Z",
        "heartbeat": f"2026-11-20T11:59:5{n}Z" if n < 3 else "2026-11-20T10:31:00Z",
        "alive": n < 3,
        "slots": 2,
        "running": [RUNNING] if n == 1 else [],
    }
    for n in (1, 2, 3)
]
AUDIT = [
    {
        "number": n,
        "time": f"2026-11-20T11:{59 - n:02d}:00Z",
        "token": "tok_1" if n % 3 else "tok_2",
        "name": "laptop" if n % 3 else "ci",
        "operation": ("study.create", "study.pause", "export.create", "token.create")[n % 4],
        "target": f"std_{n % 7 + 1}",
        "status": 201 if n % 5 else 403,
        "request_id": f"req_{n:04d}",
    }
    for n in range(30)
]
DELIVERIES = [
    {
        "id": 1,
        "event": 411,
        "attempts": 1,
        "status": "delivered",
        "state": "delivered",
        "created": "2026-11-20T11:00:00Z",
        "response_status": 200,
        "due": None,
    }
]


def _item(name: str, summary: str, **more: Any) -> list[dict[str, Any]]:
    spec = {"name": name}
    return [{"name": name, "summary": summary, "schema": {}, "spec": spec, **more}]


CATALOGUE: dict[str, list[dict[str, Any]]] = {
    "spaces": _item("hierarchical_graph", "Random graphs on three levels.", parameters=[]),
    "datasets": _item("digits", "1,797 handwritten digits, 8x8 grey."),
    "teachers": _item("resnet20", "The 20-layer ResNet for small images."),
    "strategies": _item("bayesian", "The one we recommend."),
    "losses": _item("kd", "Hinton's softened logits."),
}


def create_app(events_per_second: float = 0) -> Starlette:
    """The fixture service with fresh state."""
    service = Service(events_per_second)

    def route(path: str, answer: Any, *methods: str) -> Route:
        async def endpoint(request: Request) -> Response:
            try:
                response: Response = await answer(service, request)
            except Answer as problem:
                document = problem.document
                return JSONResponse(
                    document, document["status"], media_type="application/problem+json"
                )
            return response

        return Route(f"/api/v1{path}", endpoint, methods=list(methods) or ["GET"])

    async def page(request: Request) -> Response:
        return FileResponse(DASHBOARD / "index.html")

    async def nowhere(request: Request) -> Response:
        return FileResponse(DASHBOARD / "index.html", 404)

    async def docs(request: Request) -> Response:
        return Response("<!doctype html><title>API</title>", media_type="text/html")

    s, c, t = "/studies/{study}", "/candidates/{candidate:int}", "/trials/{trial:int}"
    routes = [
        route("/studies", list_studies),
        route("/studies", create_study, "POST"),
        route(f"{s}/trials", trials),
        route(f"{s}{t}:{{verb}}", trial_verb, "POST"),
        route(f"{s}{t}", trial),
        route(f"{s}{t}/metrics", metrics),
        route(f"{s}{t}/logs", logs),
        route(f"{s}/candidates", candidates),
        route(f"{s}/candidates.csv", candidates_csv),
        route(f"{s}{c}", candidate),
        route(f"{s}{c}/graph", graph),
        route(f"{s}{c}/model_card", model_card),
        route(f"{s}/columns", columns),
        route(f"{s}/best", best),
        route(f"{s}/hypervolume", hypervolume),
        route(f"{s}/importances", importances),
        route(f"{s}/rank_correlation", rank_correlation),
        route(f"{s}/survival", survival),
        route(f"{s}/timeline", timeline),
        route(f"{s}/exports", list_exports),
        route(f"{s}/exports", create_export, "POST"),
        route(f"{s}:{{verb}}", study_verb, "POST"),
        route(s, get_study),
        route(s, change_study, "PATCH"),
        route(s, delete_study, "DELETE"),
        route("/exports/{export}", get_export),
        route("/exports/{export}/files/{name}", export_file),
        route("/events", events),
        route("/session", session, "POST", "DELETE"),
        route("/operations", listing),
        route("/operations/{operation}", operation),
        *(route(f"/{name}", listing) for name in ("workers", "audit_events", "uploads")),
        *(route(f"/{name}", listing) for name in CATALOGUE),
        route("/tokens", listing),
        route("/tokens", create_token, "POST"),
        route("/tokens/{item}", delete_item, "DELETE"),
        route("/webhooks", listing),
        route("/webhooks", create_webhook, "POST"),
        route("/webhooks/{item}:test", try_webhook, "POST"),
        route("/webhooks/{item}/deliveries", listing),
        route("/webhooks/{item}", delete_item, "DELETE"),
        *(route(f"/{name}", fixed) for name in ("spec_schema", "whoami", "meta", "storage")),
        route("/_emit", emit, "POST"),
        route("/_reset", reset, "POST"),
        Route("/api/v1/docs", docs),
        Mount("/static", StaticFiles(directory=DASHBOARD)),
        *(Route(one.path, page) for one in pages.router.routes if one.name == "page"),
        Route("/{path:path}", nowhere),
    ]
    app = Starlette(routes=routes)

    async def with_policy(scope: Any, receive: Any, send: Any) -> None:
        async def send_with_policy(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    (b"content-security-policy", CSP.encode()),
                    (b"x-content-type-options", b"nosniff"),
                    (b"cache-control", b"no-cache"),
                ]
            await send(message)

        await app(scope, receive, send_with_policy)

    return with_policy  # type: ignore[return-value]  # an ASGI application all the same


if __name__ == "__main__":
    import sys

    import uvicorn

    uvicorn.run(create_app(), port=int(sys.argv[1]) if len(sys.argv) > 1 else 8017)

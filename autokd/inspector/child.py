"""The child's end: reads requests from stdin and writes answers to stdout, as lines of JSON.

    {"id": 1, "do": "check", "spec": {…}, "samples": 200}        `checking.check_study`
    {"id": 2, "do": "graph", "spec": {…}, "architecture": {…}}   `drawing.graph.candidate_graph`
    {"id": 3, "do": "space", "name": "hierarchical_graph"}       `assemble.describe_space`
    {"id": 4, "do": "admit", "spec": {…}, "candidate": {…}}      `assemble.admit_candidate`

Each is answered by `{"id": …, "result": {…}}` or `{"id": …, "error": {…}}`, in order. Nothing is
trained, downloaded or written.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import IO, Any

from autokd.errors import AutokdError, Mistake, SpecError, UnknownNameError

_LOG = logging.getLogger(__name__)

_SPECS = 8
"""Studies whose task is remembered: it takes reading their data to know it."""

_LOOK_SECONDS = 0.2
"""How often a child whose stdin has ended looks whether its parent is still there."""

Request = Mapping[str, Any]


def serve(idle_seconds: float | None = None) -> None:
    """Answers until stdin ends, or nothing has been asked for so long; ends with the parent."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    requests, answers = _own_streams()
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests, lines), daemon=True).start()
    with contextlib.suppress(queue.Empty, BrokenPipeError):  # idle, or nobody listens any more
        line = lines.get()
        while line:
            answers.write(answer(line) + b"\n")
            answers.flush()
            line = lines.get(timeout=idle_seconds)


def _own_streams() -> tuple[IO[bytes], IO[bytes]]:
    """Stdin and stdout for us alone: what libraries print goes to stderr, and they read nothing."""
    sys.stdout.flush()
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return requests, answers


def _listen(requests: IO[bytes], lines: queue.SimpleQueue[bytes]) -> None:
    """Hands requests on; ends the process with its parent, whatever it is about."""
    parent = os.getppid()
    for line in requests:
        lines.put(line)
    lines.put(b"")
    # A shell that pipes requests in wants the last one answered; a parent that has died does not.
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    os._exit(1)


def answer(line: bytes) -> bytes:
    """The answer to one request, without the end of the line."""
    number = None
    try:
        request = json.loads(line)
        number = request.get("id")
        if request.get("do") not in _DOERS:
            raise UnknownNameError("request", str(request.get("do")), _DOERS)
        return _encoded({"id": number, "result": _DOERS[request["do"]](request)})
    except AutokdError as error:
        return _encoded({"id": number, "error": _as_data(error)})
    # The process boundary: a space or data set of a third party may raise anything, and the parent
    # is told that it did; what it was is for the log.
    except (Exception, SystemExit):
        _LOG.exception("request %s failed", number)
        return _encoded({"id": number, "error": {"class": "unexpected"}})


def _encoded(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, allow_nan=False, default=str).encode()


def _as_data(error: AutokdError) -> dict[str, Any]:
    mistakes = error.mistakes if isinstance(error, SpecError) else ()
    return {
        "class": type(error).__name__,
        "message": error.message,
        "hint": error.hint,
        "exit_code": error.exit_code,
        "mistakes": [vars(mistake) for mistake in mistakes],
    }


def _check(request: Request) -> dict[str, Any]:
    from autokd.checking import check_study
    from autokd.spec import OptunaSpec, read_study

    spec = read_study(request["spec"])
    if isinstance(spec.strategy, OptunaSpec) and spec.strategy.hub is not None:
        wrong = "expected none: a check downloads and runs no code"
        raise SpecError("the study", [Mistake("strategy.hub", wrong, "name a sampler of Optuna")])
    update = {"data": _without_download(spec.data)}
    return check_study(spec.model_copy(update=update), samples=int(request.get("samples", 200)))


def _graph(request: Request) -> dict[str, Any]:
    from autokd.assemble import load_space, teacher_cost
    from autokd.drawing.graph import candidate_graph
    from autokd.space import Architecture
    from autokd.spec import read_study

    spec = read_study(request["spec"])
    task = _task(spec.data)
    architecture = Architecture.from_json(request["architecture"])
    return candidate_graph(load_space(spec.space), architecture, task, teacher_cost(spec, task))


@functools.lru_cache(_SPECS)
def _task(data: Any) -> Any:
    """What is to be learned from data that a spec describes."""
    import torch

    from autokd.assemble import load_data

    # The seed chooses images for validation, which change neither their size nor the classes.
    return load_data(_without_download(data), 0, torch.device("cpu")).task


def _without_download(data: Any) -> Any:
    """The same data, of which nothing is fetched."""
    return data.model_copy(update={"download": False}) if hasattr(data, "download") else data


def _space(request: Request) -> dict[str, Any]:
    from autokd.assemble import describe_space

    return describe_space(str(request["name"]))


def _admit(request: Request) -> dict[str, Any]:
    from autokd.assemble import admit_candidate
    from autokd.spec import read_study

    spec = read_study(request["spec"])
    return admit_candidate(spec, _task, request["candidate"]).architecture.to_json()


_DOERS: Mapping[str, Callable[[Request], dict[str, Any]]] = {
    "admit": _admit,
    "check": _check,
    "graph": _graph,
    "space": _space,
}

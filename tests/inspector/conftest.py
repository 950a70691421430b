"""A child that does as it is told, by the protocol of the real one, and loads no torch."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from autokd.inspector import Inspector

_CHILD = """
import itertools, os, pathlib, signal, sys, threading
from autokd.errors import ConflictError, DataError, Mistake, SpecError
from autokd.inspector import child

class OwnError(ConflictError):
    pass

asked = itertools.count(1)

def space(request):
    order, _, rest = request["name"].partition(":")
    if order == "print":
        print(rest, flush=True)
        os.system(f"echo {rest}")
        sys.stdin.read()
    elif order == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif order == "leave" and not os.path.exists(rest):
        pathlib.Path(rest).touch()
        os._exit(0)
    elif order == "hang":
        if rest:
            pathlib.Path(rest).write_text(str(os.getpid()))
        threading.Event().wait()
    elif order == "misspell":
        raise SpecError("the study", [Mistake("data.name", "wrong", "do this"), Mistake("", "bad")])
    elif order == "data":
        raise DataError("no such file", hint="look", field="data.path")
    elif order == "other":
        raise OwnError("of a module that the client need not know")
    elif order == "crash":
        raise RuntimeError("a secret of the server")
    elif order == "exit":
        sys.exit("a library gives up")
    elif order == "nan":
        return {"value": float("nan")}
    return {"name": request["name"], "pid": os.getpid(), "asked": next(asked)}

def spec(request):
    return {"asked": next(asked), "spec": request["spec"]}

child._DOERS = {"space": space, "graph": spec, "check": spec}
child.serve(float(sys.argv[1]))
"""


@pytest.fixture
def child_command() -> list[str]:
    return [sys.executable, "-c", _CHILD]


@pytest.fixture
def inspecting(child_command: list[str]) -> Iterator[Callable[..., Inspector]]:
    """Makes inspectors whose child is this one; they are closed at the end."""
    with ExitStack() as stack:

        def make(**options: Any) -> Inspector:
            options = {"seconds": 60.0, "command": child_command, **options}
            return stack.enter_context(Inspector(**options))

        yield make

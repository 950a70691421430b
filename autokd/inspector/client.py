"""The parent's end: asks a child process, which is started when it is first needed."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from autokd import errors
from autokd.errors import AutokdError, DataError, Mistake, SpecError

if TYPE_CHECKING:
    from autokd.space import Architecture

_REMEMBERED = 64
"""Answers that never change (graphs, spaces) and are kept; a large graph is half a megabyte."""

_CHILD = (sys.executable, "-P", "-m", "autokd.inspector")
"""`-P`: what lies in the working folder is not code."""

_END_SECONDS = 10.0
"""How long a killed child may take to go."""


class InspectorError(AutokdError):
    """The child ended without an answer, or failed in a way that nobody foresaw."""


class InspectorTimeoutError(InspectorError):
    """The answer took too long; so it would again."""


class InspectorBusyError(InspectorError):
    """One's turn to ask did not come in time; later it may."""


class Inspector:
    """Answers questions that take torch, from a child process that has loaded it.

    Any thread may ask; one request is worked on at a time, and the others wait. The child starts
    with the first request, ends when it has been idle for long, and starts again with the next. It
    ends with this process, however that ends. Nothing is trained, downloaded or written.

    Args:
        seconds: the child is killed if an answer takes longer; a request that waits so long for its
            turn is given up.
        idle_seconds: the child ends when nothing has been asked for so long.
        command: what to start, with `idle_seconds` as its last argument.
    """

    def __init__(
        self,
        *,
        seconds: float = 120.0,
        idle_seconds: float = 600.0,
        command: Sequence[str] = _CHILD,
    ) -> None:
        self._seconds = seconds
        self._command = [*command, str(idle_seconds)]
        self._numbers = itertools.count(1)
        self._turn = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._closed = False
        self._remembering = threading.Lock()
        self._remembered: OrderedDict[str, str] = OrderedDict()

    def check(self, spec: Mapping[str, Any], *, samples: int = 200) -> dict[str, Any]:
        """What a study means: `autokd.checking.check_study`.

        Args:
            spec: the study file as JSON data.
            samples: architectures to sample.

        Raises:
            SpecError: the study is wrong; lists every mistake.
            InspectorError: there was no answer.
        """
        return self._ask({"do": "check", "spec": dict(spec), "samples": samples})

    def graph(self, spec: Mapping[str, Any], architecture: Architecture) -> dict[str, Any]:
        """A student as a graph: `autokd.drawing.graph.candidate_graph`.

        Args:
            spec: of its study, as JSON data.
            architecture: the student.

        Raises:
            AutokdError: its data, space or teacher is not to be had.
            InspectorError: there was no answer.
        """
        parts = {part: spec[part] for part in ("data", "space", "teacher")}
        known_by = {**parts, "architecture": architecture.to_json()}
        request = {"do": "graph", "spec": dict(spec), "architecture": known_by["architecture"]}
        return self._ask(request, _key(known_by))

    def space(self, name: str) -> dict[str, Any]:
        """What varies in an installed search space: `autokd.assemble.describe_space`.

        Raises:
            UnknownNameError: no installed package has it.
            InspectorError: there was no answer.
        """
        request = {"do": "space", "name": name}
        return self._ask(request, _key(request))

    def admit(self, spec: Mapping[str, Any], candidate: Mapping[str, Any]) -> dict[str, Any]:
        """The architecture that somebody names: `autokd.assemble.admit_candidate`, as JSON data.

        Args:
            spec: of its study, as JSON data.
            candidate: its `choices`, `distillation` and `draw`.

        Raises:
            SpecError: there is no such candidate; says all that is wrong with it.
            AutokdError: the study's data, space or teacher is not to be had.
            InspectorError: there was no answer.
        """
        return self._ask({"do": "admit", "spec": dict(spec), "candidate": dict(candidate)})

    def close(self) -> None:
        """Ends the child at once; a request under way gets an InspectorError."""
        self._closed = True
        child = self._child
        if child is not None:
            _kill(child)
        with self._turn:
            self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, request: Mapping[str, Any], key: str | None = None) -> dict[str, Any]:
        """The answer to a request; remembered under `key`, if there is one."""
        known = self._recall(key)
        if known is not None:
            return known
        if not self._turn.acquire(timeout=self._seconds):
            raise InspectorBusyError(
                f"expected the inspector to be free within {self._seconds:g} s; it still works on "
                "what others have asked",
                hint="try again later",
            )
        try:
            known = self._recall(key)  # another thread may have asked the same
            if known is None:
                known = self._exchange(request)
                self._remember(key, known)
        finally:
            self._turn.release()
        return known

    def _recall(self, key: str | None) -> dict[str, Any] | None:
        with self._remembering:
            if key is None or key not in self._remembered:
                return None
            self._remembered.move_to_end(key)
            text = self._remembered[key]
        known: dict[str, Any] = json.loads(text)  # a new one, which its caller may change
        return known

    def _remember(self, key: str | None, result: Mapping[str, Any]) -> None:
        if key is None:
            return
        with self._remembering:
            self._remembered[key] = json.dumps(result)
            while len(self._remembered) > _REMEMBERED:
                self._remembered.popitem(last=False)

    def _exchange(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Sends the request and reads its answer; it is our turn."""
        number = next(self._numbers)
        line = json.dumps({"id": number, **request}).encode() + b"\n"
        answered = b""
        while not answered:
            reused = self._child is not None
            answered = self._talk(line)
            if not answered:
                code = self._end(patience=_END_SECONDS)
                if not reused or code != 0:  # else it had just been idle for too long
                    raise InspectorError(
                        "expected an answer of the inspector; it ended without one (exit code "
                        f"{code})",
                        hint="its log may say why; if it was killed (-9), memory may have run out",
                    )
        answer = json.loads(answered)
        if answer["id"] != number:
            self._end()
            raise InspectorError(f"expected answer {number} of the inspector, got {answer['id']}")
        if "error" in answer:
            raise _rebuilt(answer["error"])
        result: dict[str, Any] = answer["result"]
        return result

    def _talk(self, line: bytes) -> bytes:
        """The line that the child answers; nothing if it ends first."""
        child = self._started()
        assert child.stdin is not None and child.stdout is not None  # it was started with pipes
        late = threading.Event()

        def kill() -> None:
            late.set()
            _kill(child)

        timer = threading.Timer(self._seconds, kill)
        timer.daemon = True
        timer.start()
        try:
            child.stdin.write(line)
            child.stdin.flush()
            answered = child.stdout.readline()
        except OSError:  # it ended before it had read the request
            answered = b""
        finally:
            timer.cancel()
        if late.is_set():
            self._end()
            raise InspectorTimeoutError(
                f"expected what can be worked out within {self._seconds:g} s; this takes longer",
                hint="make it smaller: the images (data.image_size), the teacher, or the options "
                "of the space; or have the operator allow more time (AUTOKD_CHECK_SECONDS)",
            )
        return answered if answered.endswith(b"\n") else b""

    def _started(self) -> subprocess.Popen[bytes]:
        """The child that there is, or a new one."""
        if self._child is not None and self._child.poll() is not None:
            self._end()
        if self._child is None and not self._closed:
            try:
                # In a session of its own: Ctrl-C is for this process to handle.
                self._child = subprocess.Popen(
                    self._command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    start_new_session=True,
                )
            except OSError as error:
                raise InspectorError(f"cannot start the inspector: {error}") from error
        if self._child is None or self._closed:
            self._end()
            raise InspectorError("the inspector is closed")
        return self._child

    def _end(self, patience: float = 0.0) -> int | None:
        """Ends the child, if there is one, and gives its exit code.

        Args:
            patience: seconds that it is given to end by itself.
        """
        child, self._child = self._child, None
        if child is None:
            return None
        assert child.stdin is not None and child.stdout is not None  # it was started with pipes
        with contextlib.suppress(OSError):  # what it did not read is lost
            child.stdin.close()
        code: int | None = None
        for seconds in (patience, _END_SECONDS):
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = child.wait(seconds)
                break
            _kill(child)
        child.stdout.close()
        return code


def _kill(child: subprocess.Popen[bytes]) -> None:
    """Ends a child and its children at once."""
    if child.poll() is None and sys.platform != "win32":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
    child.kill()


def _key(request: Mapping[str, Any]) -> str:
    return json.dumps(request, sort_keys=True)


def _rebuilt(error: Mapping[str, Any]) -> AutokdError:
    """The error that the child raised, as it was."""
    if error["class"] == "unexpected":
        return InspectorError(
            "the inspector failed on this request in a way that nobody foresaw",
            hint="its log says why",
        )
    found = getattr(errors, error["class"], AutokdError)
    kind = found if isinstance(found, type) and issubclass(found, AutokdError) else AutokdError
    # Not by its constructor: some make their message of other arguments.
    rebuilt = kind.__new__(kind)
    AutokdError.__init__(rebuilt, error["message"], hint=error["hint"])
    if isinstance(rebuilt, SpecError):
        rebuilt.mistakes = tuple(Mistake(**mistake) for mistake in error["mistakes"])
    if isinstance(rebuilt, DataError):
        rebuilt.field = None
    return rebuilt

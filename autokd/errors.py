"""Every error that autokd raises on purpose.

    AutokdError                 exit 1
    ├── SpecError               exit 2   the study file is wrong; lists every mistake with its path
    ├── UnknownNameError        exit 2   a name that is in no catalogue; suggests the nearest
    ├── DataError               exit 2   a data set is missing, corrupt or of the wrong shape
    ├── TeacherError            exit 2   weights missing or not fitting the teacher's network
    ├── FilterError             exit 2   a list is to be filtered by what is no condition
    ├── NotFoundError           exit 3   no such study, trial or artefact
    ├── ConflictError           exit 4   the record contradicts what was asked
    │   ├── StoreVersionError   exit 4   a database of another version
    │   └── StaleTokenError     exit 4   a write by an attempt that has lost its lease
    ├── AccessError             exit 5   who asks is not known, or may not do this
    ├── NothingFeasibleError    exit 6   no architecture fits the budget; says by how much
    ├── VerificationError       exit 7   an exported file does not compute what the student computes
    ├── StorageFullError        exit 8   the disk cannot take what must be written
    └── ServerUnreachableError  exit 9   a server does not answer, or not in time

Each message says what was expected and what was got; `hint` says what to do about it.
"""

from __future__ import annotations

import copyreg
import difflib
import errno
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

_MOST_NAMES = 24
"""Names that are listed of a catalogue; the nearest one is named in any case."""


class AutokdError(Exception):
    """Root of all errors raised on purpose; `exit_code` is what the CLI ends with."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\nhint: {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        # Not made anew from its message, since several are made from other arguments.
        make = copyreg.__newobj__  # type: ignore[attr-defined]  # the stubs of copyreg lack it
        return make, (type(self), *self.args), vars(self)

    def as_data(self) -> dict[str, Any]:
        """What another process needs to say the same: JSON data."""
        return {
            "class": type(self).__name__,
            "message": self.message,
            "hint": self.hint,
            "exit_code": self.exit_code,
        }


@dataclass(frozen=True)
class Mistake:
    """One thing that is wrong in a study file.

    Attributes:
        path: where, as dotted field names (`distillation.losses.0.temperature`); empty for the
            whole file.
        message: what was expected and what was got.
        hint: what to do, if something better than the message can be said.
    """

    path: str
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        text = f"{self.path}: {self.message}" if self.path else self.message
        return f"{text} ({self.hint})" if self.hint else text


class SpecError(AutokdError, ValueError):
    """A study file is wrong. `mistakes` holds all of them, not the first."""

    exit_code = 2

    def __init__(self, source: str, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        count = len(self.mistakes)
        title = f"{source} has {count} mistake{'' if count == 1 else 's'}:"
        lines = [str(mistake).replace("\n", "\n  ") for mistake in self.mistakes]
        super().__init__("\n".join([title, *(f"  {line}" for line in lines)]))

    def as_data(self) -> dict[str, Any]:
        """The same, with all `mistakes`."""
        return {**super().as_data(), "mistakes": [asdict(mistake) for mistake in self.mistakes]}


class UnknownNameError(AutokdError, LookupError):
    """A name was looked up in a catalogue that does not have it."""

    exit_code = 2

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        listed = ", ".join(map(repr, names[:_MOST_NAMES])) or "(none)"
        more = len(names) - _MOST_NAMES
        super().__init__(
            f"unknown {kind} {name!r}; expected one of {listed}"
            + (f" and {more} more" if more > 0 else ""),
            hint=did_you_mean(name, names),
        )


class DataError(AutokdError, ValueError):
    """A data set is missing, corrupt or not of the expected shape.

    `field` is the path of the study file's field that is wrong, if it is a certain one.
    """

    exit_code = 2

    def __init__(self, message: str, *, hint: str | None = None, field: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.field = field


class TeacherError(AutokdError, ValueError):
    """The teacher's weights are missing or do not fit its network."""

    exit_code = 2


class FilterError(AutokdError, ValueError):
    """What a list is to be filtered by is no condition on its fields."""

    exit_code = 2


class NotFoundError(AutokdError, LookupError):
    """The record holds no study, trial or artefact of that name or number."""

    exit_code = 3


class ConflictError(AutokdError):
    """What was asked contradicts the record."""

    exit_code = 4


class StoreVersionError(ConflictError):
    """The database was written by another version of autokd, or is no autokd database."""


class StoreUnavailableError(ConflictError):
    """The database does not answer, or not as it should; once it is mended it will."""


class StaleTokenError(ConflictError):
    """An attempt wrote after its lease was given to another attempt; the write was refused."""


class StaleVersionError(ConflictError):
    """Something was to be changed that somebody else has changed since it was read."""


class AccessError(AutokdError):
    """Who asks is not known, or may not do this."""

    exit_code = 5


class NothingFeasibleError(AutokdError):
    """No architecture of the space was found inside the budget."""

    exit_code = 6


class VerificationError(AutokdError):
    """An exported file does not compute what the student computes."""

    exit_code = 7


class StorageFullError(AutokdError, OSError):
    """The disk is full: a checkpoint, log or record could not be written."""

    exit_code = 8


NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Numbers of an `OSError` that says so: the disk is full, or what one may have of it."""


class ServerUnreachableError(AutokdError, ConnectionError):
    """A server does not answer, not in time, or is no server of autokd."""

    exit_code = 9


class Mistakes:
    """Collects what is wrong in the parts of a study, so that all of it is reported at once."""

    def __init__(self) -> None:
        self._found: list[Mistake] = []

    @contextmanager
    def at(self, path: str) -> Iterator[None]:
        """Within it, an error about wrong input (exit code 2) becomes a mistake, at `path`."""
        try:
            yield
        except SpecError as error:
            self._found += error.mistakes
        except (UnknownNameError, DataError, TeacherError) as error:
            field = error.field if isinstance(error, DataError) else None
            self._found.append(Mistake(field or path, error.message, error.hint))

    def report(self) -> None:
        """Raises SpecError if there are any."""
        if self._found:
            raise SpecError("the study", self._found)


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """The hint that names the nearest known name, or None if nothing is near."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else None

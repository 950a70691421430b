"""Bodies of requests."""

from __future__ import annotations

from autokd.spec.text import read_json
from service.problems import FieldProblem, Refusal
from service.redaction import redact


def refuse_repeats(body: bytes) -> None:
    """Refuses JSON that has a field twice, of which readers take the last in silence.

    What is no JSON is left to whoever reads it, and says so.

    Raises:
        Refusal: there is such a field.
    """
    content, mistakes = read_json(body.decode(errors="replace"))
    if content is not None and mistakes:
        names = [redact(each.path[:40]) for each in mistakes]
        fields = [
            FieldProblem(pointer="", message=f"expected one field {name!r}, got two")
            for name in names
        ]
        raise Refusal(422, "invalid_request", "expected each field of the body once", fields=fields)

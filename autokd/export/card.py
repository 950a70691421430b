"""The model card of an exported student."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def model_card(description: Mapping[str, Any]) -> str:
    """Markdown for people: what the student is, how good, how small, and how to use it.

    Args:
        description: the contents of `student.json`.
    """
    data = description["spec"]["data"]["name"]
    channels, height, width = description["task"]["input_shape"]
    onnx = any(file["name"] == "student.onnx" for file in description["files"])
    return "\n".join(
        [
            f"# {description['study']}: student of trial {description['trial']}",
            "",
            f"An image classifier for `{data}` ({description['task']['classes']} classes), found "
            f"and distilled by autokd {description['versions']['autokd']} from the teacher "
            f"`{description['spec']['teacher']['model']}`.",
            "",
            "## How good, how small",
            "",
            "| figure | student | teacher |",
            "| --- | ---: | ---: |",
            *_rows(description),
            "",
            "Accuracies are shares of the named split. The validation split picked this student; "
            "the test split only reports. `baseline` is the same student trained without the "
            "teacher. Parameters, memory and multiply-accumulates are those of one image, without "
            "the normalisation.",
            "",
            "## Use",
            "",
            f"Input `images`: float32, (batch, {channels}, {height}, {width}), pixels in [0, 1]; "
            "the normalisation is inside. Output `logits`: (batch, "
            f"{description['task']['classes']}).",
            "",
            "```python",
            "import autokd",
            "",
            'student = autokd.load_student(".")  # an nn.Module in eval mode',
            "```",
            *(_ONNX_USE if onnx else ()),
            "",
            "## Files",
            "",
            "| file | bytes | SHA-256 | verified |",
            "| --- | ---: | --- | --- |",
            *(
                f"| {file['name']} | {file['bytes']} | `{file['sha256']}` "
                f"| {file['verified'] or '-'} |"
                for file in description["files"]
            ),
            "",
        ]
    )


_ONNX_USE = (
    "",
    "```python",
    "import onnxruntime",
    "",
    'session = onnxruntime.InferenceSession("student.onnx")',
    '(logits,) = session.run(["logits"], {"images": images})',
    "```",
)


def _rows(description: Mapping[str, Any]) -> list[str]:
    teacher = description["teacher"]
    figures = {**description["cost"], **description["metrics"]}
    counterpart = {"validation_accuracy": "accuracy"}
    return [
        f"| {name.replace('_', ' ')} | {_number(value)} "
        f"| {_number(teacher.get(counterpart.get(name, name)))} |"
        for name, value in figures.items()
    ]


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if isinstance(value, float) and value < 10 else f"{value:,.0f}"

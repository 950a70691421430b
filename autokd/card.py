"""The model card of a student: what a person should know before using it, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from autokd.readable import plural


def model_card(description: Mapping[str, Any]) -> str:
    """What the student is, how good, how small, how it was made, and how to use it.

    A section about which the description is silent is left out.

    Args:
        description: the contents of `student.json`, or what `describing.describe_candidate` gave.
            Both have `study`, `trial`, `architecture`, `distillation`, `cost`, `metrics`, `teacher`
            and `spec`; an exported student has `task`, `versions` and `files` too, a candidate of
            the record has `state`, `epochs`, `budget` and `final`.
    """
    sections = (
        _introduction(description),
        _section("How good, how small", _figures(description)),
        _section("With and without the teacher", _comparison(description.get("final"))),
        _section("Data", _data(description["spec"]["data"])),
        _section("Training", _training(description)),
        _section("Architecture", _architecture(description["architecture"])),
        _section("Limits of use", _limits(description)),
        _section("Use", _use(description)),
        _section("Reproduce", _reproduce(description)),
        _section("Files", _files(description.get("files", ()))),
    )
    return "\n".join(line for section in sections for line in section)


def _section(title: str, lines: Sequence[str]) -> list[str]:
    return [f"## {title}", "", *lines, ""] if lines else []


def _introduction(description: Mapping[str, Any]) -> list[str]:
    spec, task = description["spec"], description.get("task")
    classes = f" ({task['classes']} classes)" if task else ""
    version = f" {description['versions']['autokd']}" if "versions" in description else ""
    return [
        f"# {description['study']}: student of trial {description['trial']}",
        "",
        f"An image classifier for {_code(spec['data']['name'])}{classes}, found and distilled by "
        f"autokd{version} from the teacher {_code(spec['teacher']['model'])}.",
        *_how_far(description),
        "",
    ]


def _how_far(description: Mapping[str, Any]) -> list[str]:
    """Of a candidate that was not retrained in full."""
    if "epochs" not in description or description["final"]:
        return []
    state = description["state"]
    if not description["epochs"]:
        return [f"It has not been trained: its trial is {state}."]
    epochs = plural(description["epochs"], "epoch")
    return [
        f"It was trained for {epochs} of the search (its trial is {state}) and not retrained in "
        "full."
    ]


def _figures(description: Mapping[str, Any]) -> list[str]:
    teacher, budget = description["teacher"], description.get("budget", {})
    counterpart = {"validation_accuracy": "accuracy", "ece": "test_ece"}
    rows = [
        (
            _words(name),
            _number(value),
            _number(teacher.get(counterpart.get(name, name))),
            *([_number(budget.get(name))] if budget else ()),
        )
        for name, value in {**description["cost"], **description["metrics"]}.items()
    ]
    return [
        *_table(("figure", "student", "teacher", *["at most"] * bool(budget)), rows),
        "",
        "Accuracies are shares of the named split. The validation split picked this student; "
        "the test split only reports. `baseline` is the same student trained without the "
        "teacher. Parameters, memory and multiply-accumulates are those of one image, without "
        "the normalisation.",
    ]


def _comparison(final: Mapping[str, Any] | None) -> list[str]:
    if not final:
        return []
    rows = [
        (_words(name), _with_sd(final, name), _with_sd(final, f"baseline_{name}"))
        for name in ("validation_accuracy", "test_accuracy", "ece")
        if name in final
    ]
    epochs, seeds = plural(final["epochs"], "epoch"), plural(final["seeds"], "seed")
    spread = " (mean ± standard deviation)" if final["seeds"] > 1 else ""
    return [
        *_table(("figure", "with", "without (baseline)"), rows),
        "",
        f"Retrained for {epochs} from {seeds}{spread}; with and without the teacher from the same "
        "weights, on the same images in the same order. The expected calibration error is that of "
        "the test split.",
    ]


def _data(data: Mapping[str, Any]) -> list[str]:
    # Of a path only the last part: the rest is the business of the machine that searched.
    where = next((PurePath(data[field]).name for field in ("path", "root") if data.get(field)), "")
    augmentation = data["augmentation"]
    views = "customary for the set" if augmentation is None else _settings(augmentation)
    limit = data["train_limit"]
    return [
        f"- images: {_code(data['name'])}" + (f" from {_code(where)}" if where else ""),
        f"- held out of the training images to steer the search: {data['validation']:.0%}",
        *([f"- training images used: {limit:,} at most"] if limit else ()),
        f"- random views in training: {views}",
    ]


def _training(description: Mapping[str, Any]) -> list[str]:
    spec = description["spec"]
    teacher, distillation = spec["teacher"], spec["distillation"]
    taught = f"trained for {plural(teacher['epochs'], 'epoch')}"
    epochs = f", {plural(description['epochs'], 'epoch')}" if description.get("epochs") else ""
    task_weight = distillation["task_weight"]
    rest = "what the others leave of 1" if task_weight is None else f"{task_weight:g}"
    return [
        f"- teacher: {_code(teacher['model'])}, "
        + ("given by its weights" if teacher["weights"] else taught),
        f"- student: SGD with Nesterov momentum and a cosine learning rate{epochs}; "
        + _settings(spec["training"]),
        *(
            f"- loss {_code(loss['name'])}: {_loss(loss, description['distillation'])}"
            for loss in distillation["losses"]
        ),
        f"- loss `cross_entropy` with the labels, its weight: {rest}",
    ]


def _loss(loss: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """Its settings; those that were searched as they were found."""
    settings = {
        field: found.get(f"{loss['name']}.{field}", value)
        for field, value in loss.items()
        if field != "name"
    }
    return ", ".join(
        f"{_words(field)} {_setting(value)}" + " (searched)" * (f"{loss['name']}.{field}" in found)
        for field, value in settings.items()
    )


def _architecture(architecture: Mapping[str, Any]) -> list[str]:
    space, seed = _code(architecture["space"]), architecture["seed"]
    rows = [(_code(name), _setting(value)) for name, value in architecture["choices"].items()]
    return [
        f"A network of the search space {space}" + (f", its draw {seed}:" if seed else ":"),
        "",
        *_table(("choice", "value"), rows),
    ]


def _limits(description: Mapping[str, Any]) -> list[str]:
    spec, task, metrics = description["spec"], description.get("task"), description["metrics"]
    size = " × ".join(map(str, task["input_shape"])) if task else "the data set's size"
    ece = metrics.get("ece", metrics.get("test_ece"))
    return [
        f"- It tells the classes of {_code(spec['data']['name'])} apart and nothing else: an image "
        "of anything else is given one of these classes too.",
        f"- It takes images of {size}, like those it has learned from. Other cameras, crops, noise "
        "and changed circumstances were not tested, nor was any group within the data by itself.",
        *([] if "test_accuracy" in metrics else [_UNTESTED]),
        *(
            [
                f"- Its confidence is off by {_number(ece)} on average (expected calibration "
                "error, in [0, 1]): calibrate it before a threshold decides about anything that "
                "matters."
            ]
            if ece is not None
            else []
        ),
        "- Peak memory is that of the tensors of one image in float32; a runtime needs its own "
        "beside.",
    ]


_UNTESTED = (
    "- It was not scored on the test split. The validation split chose among the candidates, so "
    "its figures are on the bright side."
)


def _use(description: Mapping[str, Any]) -> list[str]:
    if "files" not in description and not description["metrics"]:
        return []  # there are no weights to use
    if "files" not in description:
        study, trial = description["study"], description["trial"]
        export = f"autokd export {study} --trial {trial} -o student"
        return [*_block("sh", export), "", *_block("python", *_load("student"))]
    channels, height, width = description["task"]["input_shape"]
    onnx = any(file["name"] == "student.onnx" for file in description["files"])
    return [
        f"Input `images`: float32, (batch, {channels}, {height}, {width}), pixels in [0, 1]; "
        f"the normalisation is inside. Output `logits`: (batch, {description['task']['classes']}).",
        "",
        *_block("python", *_load(".")),
        *(["", *_block("python", *_ONNX)] if onnx else ()),
    ]


def _load(folder: str) -> tuple[str, ...]:
    return (
        "import autokd",
        "",
        f'student = autokd.load_student("{folder}")  # an nn.Module in eval mode',
    )


_ONNX = (
    "import onnxruntime",
    "",
    'session = onnxruntime.InferenceSession("student.onnx")',
    '(logits,) = session.run(["logits"], {"images": images})',
)


def _reproduce(description: Mapping[str, Any]) -> list[str]:
    study = description["study"]
    spec = "`spec` in `student.json`" if "files" in description else "the study's spec"
    return [
        f"Save {spec} as `{study}.json` and search again, with another database:",
        "",
        *_block("sh", f"autokd search {study}.json --storage again.db"),
        "",
        f"All randomness follows from the seed {description['spec']['seed']}. With one worker, the "
        "same versions and the same kind of device the search is the same, candidate for "
        "candidate.",
    ]


def _files(files: Iterable[Mapping[str, Any]]) -> list[str]:
    rows = [
        (file["name"], f"{file['bytes']}", f"`{file['sha256']}`", file["verified"] or "-")
        for file in files
    ]
    return _table(("file", "bytes", "SHA-256", "verified"), rows, right=(1,)) if rows else []


def _table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[int] | None = None
) -> list[str]:
    """Columns stand to the right from the second on, unless it is said which do."""
    rights = range(1, len(columns)) if right is None else right
    rule = ["---:" if number in rights else "---" for number in range(len(columns))]
    return ["| " + " | ".join(cells) + " |" for cells in (columns, rule, *rows)]


def _block(language: str, *lines: str) -> list[str]:
    return [f"```{language}", *lines, "```"]


def _settings(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{_words(name)} {_setting(value)}" for name, value in values.items())


def _setting(value: Any) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:g}"
        case int():
            return str(value)
        case _:
            return _code(value)


def _code(text: Any) -> str:
    """As it is written: nothing in it is read as Markdown, nor ends the line or the cell."""
    plain = " ".join(str(text).split()).replace("`", "'").replace("|", "/")
    return f"`{plain}`"


def _words(name: str) -> str:
    return {"ece": "expected calibration error"}.get(name, name.replace("_", " "))


def _with_sd(row: Mapping[str, Any], name: str) -> str:
    if row.get(name) is None:
        return "-"
    return f"{row[name]:.4f}" + (f" ± {row[f'{name}_sd']:.4f}" if row["seeds"] > 1 else "")


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if isinstance(value, float) and value < 10 else f"{value:,.0f}"

"""The commands of the README, run as they stand there, against the service that it starts."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

_README = Path(__file__).parents[2] / "README.md"


def test_the_commands_of_the_readme_lead_from_a_study_file_to_a_verified_student(
    up: str, tmp_path: Path, tiny_spec: dict[str, Any]
) -> None:
    """The study has the name of the one in the README, and takes seconds in place of minutes."""
    (tmp_path / "studies").mkdir()
    study = json.dumps({**tiny_spec, "name": "digits"})  # JSON is YAML
    (tmp_path / "studies" / "digits.yaml").write_text(study, encoding="utf-8")
    (commands,) = re.findall(r"^```bash\n(.*?)^```", _README.read_text("utf-8"), re.M | re.S)
    commands = commands.replace("http://127.0.0.1:8000", up.partition("/login")[0])
    bins = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-eu", "-c", commands],
        cwd=tmp_path,
        env=os.environ | {"PATH": bins},
        capture_output=True,
        text=True,
        timeout=180,
    )
    # `sed` closes the stream of events when it has seen enough, which curl tells.
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert '"kind":"epoch"' in done.stdout
    export = json.loads((tmp_path / "export.json").read_text())
    (onnx,) = (file for file in export["files"] if file["name"] == "student.onnx")
    content = (tmp_path / "student.onnx").read_bytes()
    assert hashlib.sha256(content).hexdigest() == onnx["sha256"]
    assert onnx["verified"]

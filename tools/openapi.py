"""Writes `service/openapi.json`: the document of the API as the code has it.

Usage:
    python tools/openapi.py
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from service.app import create_app
from service.settings import Settings

DOCUMENT = Path(__file__).resolve().parent.parent / "service" / "openapi.json"


def main() -> None:
    """Writes the file."""
    with tempfile.TemporaryDirectory() as folder:
        app = create_app(Settings(storage=f"{folder}/autokd.db"))
        document = app.openapi()
        app.state.store.close()
    DOCUMENT.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

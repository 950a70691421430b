"""In processes with this folder on their path, studies train nothing: `assemble.py` says what else.

Everything around the training is the product's own: coordinator, study processes, workers, record.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

_HERE = Path(__file__).parent
_SCRIPTED = {
    "autokd.assemble": _HERE / "assemble.py",
    "autokd.exporting": _HERE / "exporting.py",
}


class _Finder(MetaPathFinder):
    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        file = _SCRIPTED.get(name)
        return importlib.util.spec_from_file_location(name, file) if file else None


sys.meta_path.insert(0, _Finder())

"""Refreshes the JavaScript that the dashboard brings along, or checks that it is what was pinned.

Usage:
    python tools/vendor_dashboard.py            fetches the pinned packages with npm
    python tools/vendor_dashboard.py --check    compares the files with their hashes, without npm

A `vendor.json` names the packages: version, licence, which of their files are kept under which
name, and their SHA-256. To move to another version, change it there and run this. Only this
program needs npm; the dashboard and its tests need no Node at all.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
MANIFESTS = ("service/dashboard/vendor/vendor.json", "tests/dashboard/vendor/vendor.json")


def main() -> int:
    """Exit status 0, or 1 if a file is not what its manifest says."""
    parser = argparse.ArgumentParser(description="Refreshes or checks the vendored JavaScript.")
    parser.add_argument("--check", action="store_true", help="only compare the files' hashes")
    check = parser.parse_args().check
    wrong = []
    for manifest in (ROOT / name for name in MANIFESTS):
        if not check:
            refresh(manifest)
        wrong += mismatches(manifest)
    for line in wrong:
        sys.stderr.write(f"{line}\n")
    return 1 if wrong else 0


def mismatches(manifest: Path) -> list[str]:
    """One sentence for each file that is missing, changed or not in the manifest."""
    pinned = {
        file["file"]: file["sha256"]
        for package in json.loads(manifest.read_text())["packages"]
        for file in package["files"]
    }
    found = {
        path.name: _sha256(path.read_bytes())
        for path in manifest.parent.iterdir()
        if path != manifest and not path.name.endswith(".d.ts")
    }
    return [
        f"{manifest.parent.name}/{name}: expected SHA-256 {pinned.get(name)}, got {found.get(name)}"
        for name in sorted(pinned.keys() | found.keys())
        if pinned.get(name) != found.get(name)
    ]


def refresh(manifest: Path) -> None:
    """Fetches the manifest's packages, writes their files and the new hashes."""
    content = json.loads(manifest.read_text())
    for package in content["packages"]:
        with tempfile.TemporaryDirectory() as folder, _fetched(package, Path(folder)) as archive:
            for file in package["files"]:
                member = archive.extractfile(f"package/{file['source']}")
                assert member is not None  # npm packages hold plain files
                adapted = _adapt(member.read(), file.get("imports", {}))
                (manifest.parent / file["file"]).write_bytes(adapted)
                file["sha256"] = _sha256(adapted)
    manifest.write_text(json.dumps(content, indent=2) + "\n")


def _fetched(package: dict[str, Any], folder: Path) -> tarfile.TarFile:
    command = ["npm", "pack", "--silent", f"{package['name']}@{package['version']}"]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    (archive,) = folder.glob("*.tgz")
    return tarfile.open(archive)


def _adapt(content: bytes, imports: dict[str, str]) -> bytes:
    """Without the link to a source map; bare imports, which browsers do not know, made relative."""
    content = re.sub(rb"\n?//# sourceMappingURL=\S+\s*$", b"\n", content)
    for name, path in imports.items():
        content = content.replace(f'from"{name}"'.encode(), f'from"{path}"'.encode())
    return content


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    sys.exit(main())

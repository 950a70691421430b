"""How long the command line takes to start, and that it loads no torch.

Run: python benchmarks/startup.py [--repeats 15]

Prints a Markdown table: median wall time of each command in a fresh process, and whether torch was
imported by it. The target is 0.4 s for `autokd --help`.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import subprocess
import sys
import time

COMMANDS = (
    ("autokd --help", ["--help"]),
    ("autokd search --help", ["search", "--help"]),
    ("autokd spaces list", ["spaces", "list"]),
    ("autokd spec schema", ["spec", "schema"]),
)

_RUN = "import sys; sys.argv[0] = 'autokd'; from autokd.cli import main; main()"
_RUN_AND_LOOK = (
    "import atexit, sys; sys.argv[0] = 'autokd'; "
    "atexit.register(lambda: print('torch' in sys.modules, file=sys.stderr)); "
    "from autokd.cli import main; main()"
)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15)
    repeats = parser.parse_args().repeats
    print(f"Python {platform.python_version()}, {platform.platform()}, {repeats} repeats\n")
    print("| command | median s | slowest s | imports torch |")
    print("| --- | ---: | ---: | --- |")
    for name, arguments in COMMANDS:
        seconds = [_seconds(arguments) for _ in range(repeats)]
        print(
            f"| `{name}` | {statistics.median(seconds):.3f} | {max(seconds):.3f} "
            f"| {'yes' if _imports_torch(arguments) else 'no'} |"
        )


def _seconds(arguments: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", _RUN, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def _imports_torch(arguments: list[str]) -> bool:
    done = subprocess.run(
        [sys.executable, "-c", _RUN_AND_LOOK, *arguments],
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stderr.strip().endswith("True")


if __name__ == "__main__":
    main()

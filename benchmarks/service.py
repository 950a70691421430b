"""How fast the service answers over 10,000 trials, and what it costs the search beside it.

Run: python benchmarks/service.py [--quick] [--parts starts,requests,events,load]
         [--databases sqlite,postgres] [--seed 0]

Real processes over loopback: `autokd serve`, and `autokd coordinator` where a search runs. Prints
Markdown tables, each with the load of the machine while it was measured. The CPU columns hardly
depend on what else runs there; the others do. Targets: a list of 50 out of 10,000 trials within
100 ms (p95), a front within 200 ms, an event with 200 readers within 1 s, and a search that loses
less than 5 % while 50 requests come in each second for a minute, without an error.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from service_load import Client, Reader, free_port, percentile
from service_record import BIG, fill, new_database, write_events

from autokd.seeding import rng_for
from autokd.store import Store
from autokd.trial import StudyWish

_BIG = f"/api/v1/studies/{BIG}"
REQUESTS = {
    "list of 50": f"{_BIG}/candidates?page_size=50",
    "list, by accuracy": f"{_BIG}/candidates?page_size=50&order_by=-accuracy",
    "list, by accuracy, then parameters; filtered": f"{_BIG}/candidates?page_size=50"
    "&order_by=-accuracy,parameters&filter=parameters<=20k,state=complete|paused",
    "list, by a choice": f"{_BIG}/candidates?page_size=50&order_by=choices.top_nodes",
    "list of 50 trials": f"{_BIG}/trials?page_size=50&newest_first=true",
    "front": f"{_BIG}/front",
    "front within a budget, other axes": f"{_BIG}/front?x=macs&y=accuracy&max_parameters=15k",
    "best": f"{_BIG}/best?max_parameters=15k",
    "all columns": f"{_BIG}/columns",
    "two columns": f"{_BIG}/columns?fields=accuracy,parameters",
    "study": _BIG,
    "studies": "/api/v1/studies",
    "hypervolume": f"{_BIG}/hypervolume",
    "importances": f"{_BIG}/importances",
    "rank correlation": f"{_BIG}/rank_correlation",
    "survival": f"{_BIG}/survival",
    "timeline": f"{_BIG}/timeline",
    "a trial": f"{_BIG}/trials/77",
    "its curves": f"{_BIG}/trials/77/metrics",
}
MIXED = [
    *(name for name in REQUESTS if name.startswith("list")),
    *("front", "front within a budget, other axes", "two columns", "study", "studies", "a trial"),
    "its curves",
]
SEARCH = {
    "name": "running",
    "data": {"name": "digits", "train_limit": 300},
    "teacher": {"model": "resnet8", "epochs": 1},
    # Of one size, so that epochs are of one length and can be counted.
    "space": {
        "name": "hierarchical_graph",
        "top_nodes": [3, 3],
        "middle_nodes": [1, 1],
        "bottom_nodes": [3, 3],
        "parameter_fraction": [0.9, 0.95],
    },
    "distillation": {"losses": [{"name": "kd"}]},
    "budget": {"parameters": "0.2x"},
    "objectives": [
        {"metric": "accuracy", "direction": "maximize"},
        {"metric": "parameters", "direction": "minimize"},
    ],
    "strategy": {"name": "random"},
    "fidelity": {"min_epochs": 100, "max_epochs": 100, "eta": 2},
    "limits": {"trials": 1000},
    "execution": {"device": "cpu"},
}


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="500 trials, some seconds each")
    parser.add_argument("--parts", default="starts,requests,events,load")
    parser.add_argument("--databases", default="sqlite,postgres")
    parser.add_argument("--repeats", type=int, default=200, help="of each request")
    parser.add_argument("--turns", type=int, default=3, help="with load, and without")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    parts, quick = arguments.parts.split(","), arguments.quick
    print(
        f"Python {platform.python_version()}, {platform.platform()}, {os.cpu_count()} cores, "
        f"seed {arguments.seed}\n"
    )
    for kind in arguments.databases.split(","):
        with tempfile.TemporaryDirectory() as folder, new_database(kind, Path(folder)) as url:
            files = Path(folder) / "autokd.files"
            with Store.open(url, files=files) as store:
                trials = 500 if quick else 10_000
                began = time.perf_counter()
                fill(store, trials, arguments.seed)
                seconds = time.perf_counter() - began
                print(f"## {kind}: {trials} trials (filled in {seconds:.0f} s)\n")
                if "starts" in parts:
                    measure_starts(url, files, repeats=2 if quick else 7)
                if "requests" in parts:
                    measure_requests(store, url, files, 10 if quick else arguments.repeats)
                if "events" in parts:
                    measure_events(store, url, files, 20 if quick else 200, 5 if quick else 30)
                if "load" in parts:
                    seconds, turns = (5, 1) if quick else (60, arguments.turns)
                    measure_load(store, url, files, seconds, turns, arguments.seed)


class Server:
    """A web process over a database.

    Attributes:
        port: where it listens.
        process: the process.
        started: seconds until it answered that it is ready.
    """

    def __init__(self, url: str, files: Path) -> None:
        self.port = free_port()
        command = [sys.executable, "-m", "autokd", "serve", "--no-authentication"]
        environment = {**os.environ, "AUTOKD_STORAGE": url, "AUTOKD_FILES": str(files)}
        began = time.perf_counter()
        self._popen = subprocess.Popen(
            [*command, "--port", str(self.port)],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.process = psutil.Process(self._popen.pid)
        while not self._is_ready():
            time.sleep(0.01)
        self.started = time.perf_counter() - began

    @property
    def cpu_seconds(self) -> float:
        """CPU time so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)

    @property
    def mebibytes(self) -> float:
        """Resident memory."""
        return float(self.process.memory_info().rss) / 2**20

    def stop(self) -> None:
        """Ends it."""
        self._popen.terminate()
        self._popen.wait()

    def _is_ready(self) -> bool:
        try:
            return asyncio.run(_status(self.port, "/readyz")) == 200
        except OSError:
            return False


@contextmanager
def serving(url: str, files: Path) -> Iterator[Server]:
    """A web process for the block."""
    server = Server(url, files)
    try:
        yield server
    finally:
        server.stop()


async def _status(port: int, path: str) -> int:
    client = await Client.connect(port)
    status, _ = await client.get(path)
    client.close()
    return status


def measure_starts(url: str, files: Path, repeats: int) -> None:
    """How long the processes take until they are of use."""
    started, memory = [], []
    for _ in range(repeats):
        with serving(url, files) as server:
            started.append(server.started)
            memory.append(server.mebibytes)
    imports = {
        name: [_seconds([sys.executable, "-c", f"import {module}"]) for _ in range(repeats)]
        for name, module in (("web process", "service.app"), ("coordinator", "autokd.coordinator"))
    }
    print(f"| start, n = {repeats}, load {_load()} | median | slowest |\n| --- | ---: | ---: |")
    print(f"| `autokd serve` until it is ready | {_median(started):.2f} s | {max(started):.2f} s |")
    for name, seconds in imports.items():
        print(f"| imports of the {name} | {_median(seconds):.2f} s | {max(seconds):.2f} s |")
    print(f"| memory of the web process | {_median(memory):.0f} MiB | {max(memory):.0f} MiB |\n")


def measure_requests(store: Store, url: str, files: Path, repeats: int) -> None:
    """Each request: the first after a start, then unchanged, then after a change of the study."""
    print(
        f"| request, n = {repeats}, load {_load()} | first | p50 | p95 | CPU | "
        "p50, changed | p95, changed | CPU, changed | bytes |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    )
    changes = write_events(store, BIG)
    for name, path in REQUESTS.items():
        with serving(url, files) as server:
            row = asyncio.run(_measure_request(server, path, repeats, changes))
        print(f"| {name} | {row}")
    print()


async def _measure_request(
    server: Server, path: str, repeats: int, changes: Iterator[tuple[int, float]]
) -> str:
    client = await Client.connect(server.port)
    await client.get("/api/v1/meta")
    first, size = await _timed(client, path)
    cells = [f"{1000 * first:.0f} ms"]
    for changing in (False, True):
        times = []
        count = max(5, repeats // 10) if changing else repeats
        cpu = 0.0
        for _ in range(count):
            if changing:
                next(changes)
            before = server.cpu_seconds
            times.append((await _timed(client, path))[0])
            cpu += server.cpu_seconds - before
        cells += [
            f"{1000 * percentile(times, 50):.1f} ms",
            f"{1000 * percentile(times, 95):.1f} ms",
            f"{1000 * cpu / count:.1f} ms",
        ]
    client.close()
    return " | ".join([*cells, f"{size:,} |"])


async def _timed(client: Client, path: str) -> tuple[float, int]:
    began = time.perf_counter()
    status, body = await client.get(path)
    if status != 200:
        raise RuntimeError(f"{path}: {status} {body[:300]!r}")
    return time.perf_counter() - began, len(body)


def measure_events(store: Store, url: str, files: Path, readers: int, seconds: int) -> None:
    """From the end of the commit of an event to its arrival at each of many readers."""
    with serving(url, files) as server:
        delays, lost, cpu = asyncio.run(_measure_events(store, server, readers, seconds))
    print(f"| event streams, load {_load()} | |\n| --- | ---: |")
    print(f"| readers | {readers} |\n| events a second | 5 |")
    print(f"| arrivals | {len(delays):,} |\n| lost | {lost} |")
    for share in (50, 95, 100):
        print(f"| delay, p{share} | {1000 * percentile(delays, share):.0f} ms |")
    print(f"| CPU of the web process | {100 * cpu / seconds:.1f} % of a core |\n")


async def _measure_events(
    store: Store, server: Server, readers: int, seconds: int
) -> tuple[list[float], int, float]:
    streams = [await Reader.connect(server.port) for _ in range(readers)]
    reading = [asyncio.create_task(stream.read()) for stream in streams]
    await asyncio.sleep(1)
    before = server.cpu_seconds
    committed: dict[int, float] = {}
    changes = write_events(store, BIG)
    for _ in range(5 * seconds):
        event, moment = await asyncio.to_thread(next, changes)
        committed[event] = moment
        await asyncio.sleep(0.2)
    await asyncio.sleep(2)
    cpu = server.cpu_seconds - before
    for task in reading:
        task.cancel()
    delays = [
        stream.arrived[event] - moment
        for stream in streams
        for event, moment in committed.items()
        if event in stream.arrived
    ]
    return delays, len(committed) * readers - len(delays), cpu


def measure_load(
    store: Store, url: str, files: Path, seconds: int, repeats: int, seed: int
) -> None:
    """Reads at a constant rate while a search runs, and what the search does without them."""
    print(
        f"| search with | without requests | with 50/s | loss | requests | errors | p50 | p95 | "
        f"slowest | web CPU | load |\n| --- {'| ---: ' * 10}|"
    )
    for workers in (1, 2):
        with serving(url, files) as server, _searching(store, url, files, workers) as study:
            quiet, loaded, times, errors, cpu = [], [], [], 0, 0.0
            for turn in range(repeats):
                began = time.monotonic()
                time.sleep(seconds)
                quiet.append(_epochs(store, study) / (time.monotonic() - began))
                before, began = server.cpu_seconds, time.monotonic()
                answered, wrong = asyncio.run(_send(server, seconds, seed + turn))
                loaded.append(_epochs(store, study) / (time.monotonic() - began))
                cpu += server.cpu_seconds - before
                times += answered
                errors += wrong
        loss = 100 * (1 - statistics.median(b / a for a, b in zip(quiet, loaded, strict=True)))
        print(
            f"| {workers} worker{'s' * (workers > 1)} | {_median(quiet):.2f} epochs/s "
            f"| {_median(loaded):.2f} epochs/s | {loss:.1f} % | {len(times)} | {errors} "
            f"| {1000 * percentile(times, 50):.0f} ms | {1000 * percentile(times, 95):.0f} ms "
            f"| {1000 * max(times):.0f} ms | {100 * cpu / seconds / repeats:.0f} % | {_load()} |"
        )
    print(f"\nMedians of {repeats} turns of {seconds} s with and without, in turns.\n")


async def _send(server: Server, seconds: int, seed: int) -> tuple[list[float], int]:
    """Sends 50 requests a second, whether or not the ones before were answered."""
    rng = rng_for(seed, 0, "load")
    free = [await Client.connect(server.port) for _ in range(10)]
    times: list[float] = []
    errors = 0

    async def send(path: str, due: float) -> None:
        nonlocal errors
        idle = [client for client in free if not client.closed]
        free[:] = idle[:-1]
        client = idle[-1] if idle else await Client.connect(server.port)
        try:
            status, _ = await client.get(path)
        except (OSError, asyncio.IncompleteReadError):
            status = 0
        errors += status != 200
        times.append(time.perf_counter() - due)
        free.append(client)

    began = time.perf_counter()
    sent = []
    for number in range(50 * seconds):
        due = began + number / 50
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        path = REQUESTS[str(rng.choice(MIXED))]
        sent.append(asyncio.create_task(send(path, due)))
    await asyncio.gather(*sent)
    return times, errors


@contextmanager
def _searching(store: Store, url: str, files: Path, workers: int) -> Iterator[int]:
    """A coordinator that runs a study of digits; waits until all of its workers train."""
    spec: dict[str, Any] = json.loads(json.dumps(SEARCH))
    spec |= {"name": f"running-{workers}", "execution": {"device": "cpu", "workers": workers}}
    from autokd.spec import read_study

    content = read_study(spec).model_dump(mode="json")
    study = store.create_study(spec["name"], content, wish=StudyWish.RUN)
    environment = {**os.environ, "AUTOKD_STORAGE": url, "AUTOKD_FILES": str(files)}
    coordinator = subprocess.Popen(
        [sys.executable, "-m", "autokd", "coordinator", "--slots", str(workers)],
        env={**environment, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.DEVNULL,
    )
    try:
        trained: set[int] = set()
        while len(trained) < workers:
            time.sleep(0.5)
            events = store.events(study.id, limit=10**6)
            trained = {event.data["trial"] for event in events if event.kind == "epoch"}
        _seen[study.id] = store.study(study.id).events
        yield study.id
    finally:
        store.change_study(study.id, wish=StudyWish.CANCEL)
        coordinator.terminate()
        coordinator.wait()


_seen: dict[int, int] = {}
"""Number of the last event that was counted, by study."""


def _epochs(store: Store, study: int) -> int:
    """Epochs of a study since this was asked last."""
    events = store.events(study, _seen[study], limit=10**6)
    _seen[study] = events[-1].number if events else _seen[study]
    return sum(event.kind == "epoch" for event in events)


def _seconds(command: Sequence[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - began


def _median(values: Sequence[float]) -> float:
    return statistics.median(values)


def _load() -> str:
    return f"{os.getloadavg()[0]:.1f}"


if __name__ == "__main__":
    main()

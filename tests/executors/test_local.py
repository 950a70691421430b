from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from autokd.executors import (
    EpochDone,
    Executor,
    Finished,
    LocalExecutor,
    Lost,
    Runner,
)
from autokd.executors.scripted import Gate, make_attempt, make_scripted_runner
from autokd.executors.testing import (
    HANG_SECONDS,
    ExecutorConformance,
    Watch,
    assert_ended,
)


@pytest.fixture(autouse=True)
def bare_main(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spares each worker the import of the main module: pytest."""
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    monkeypatch.delattr(sys.modules["__main__"], "__file__", raising=False)


class TestLocalExecutor(ExecutorConformance):
    def make_executor(
        self,
        make_runner: Callable[[], Runner],
        *,
        slots: int,
        lease_seconds: float,
        grace_seconds: float,
    ) -> Executor:
        return LocalExecutor(
            make_runner,
            slots,
            lease_seconds=lease_seconds,
            threads=1,
            grace_seconds=grace_seconds,
        )


def local(slots: int = 1, *, lease_seconds: float = 120.0, threads: int = 1) -> LocalExecutor:
    return LocalExecutor(make_scripted_runner, slots, lease_seconds=lease_seconds, threads=threads)


def test_a_worker_sees_its_number_of_threads_and_no_torch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    with local(threads=3) as executor:
        watch = Watch(executor)
        watch.submit(make_attempt(tmp_path, 0, "show_threads"))
        watch.until(Finished, 0)
    threads, torch = (e for e in watch.events if isinstance(e, EpochDone))
    assert set(threads.metrics.values()) == {3.0}
    assert torch.metrics == {"torch": 0.0}
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "MKL_NUM_THREADS" not in os.environ


def test_a_worker_that_cannot_renew_its_lease_ends_itself(tmp_path: Path) -> None:
    with local(lease_seconds=2.0) as executor:
        watch = Watch(executor)
        watch.submit(make_attempt(tmp_path, 0, "flood"))
        pid = watch.pid(0)
        assert_ended(pid)  # nobody polls: the pipe is full
        watch.until(Lost, 0)
    assert "lease could not be renewed" in (tmp_path / "0" / "log.txt").read_text()


def test_time_in_which_the_coordinator_was_away_is_no_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt = make_attempt(tmp_path, 0, "hold")
    gate = Gate(attempt)
    with local(lease_seconds=100.0) as executor:
        watch = Watch(executor)
        watch.submit(attempt)
        watch.until(EpochDone, 0)
        now = time.monotonic
        monkeypatch.setattr(time, "monotonic", lambda: now() + 1000)
        assert executor.poll(0) == []
        gate.open()
        watch.until(Finished, 0)


def test_a_worker_that_is_silent_while_the_coordinator_looks_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with local(lease_seconds=100.0) as executor:
        watch = Watch(executor)
        watch.submit(make_attempt(tmp_path, 0, "freeze"))
        pid, now = watch.pid(0), time.monotonic
        for seconds in (0, 40, 80):  # steps too short to count as absence
            monkeypatch.setattr(time, "monotonic", lambda later=seconds: now() + later)
            assert executor.poll(0) == []
        monkeypatch.setattr(time, "monotonic", lambda: now() + 120)
        assert [type(event) for event in executor.poll(0)] == [Lost]
        assert_ended(pid)


def test_an_idle_worker_that_was_killed_is_replaced(tmp_path: Path) -> None:
    with local() as executor:
        watch = Watch(executor)
        watch.submit(make_attempt(tmp_path, 0, "epochs"))
        watch.until(Finished, 0)
        os.kill(watch.pid(0), signal.SIGKILL)
        assert_ended(watch.pid(0))
        watch.submit(make_attempt(tmp_path, 1, "epochs"))
        watch.until(Finished, 1)
    assert watch.pid(1) != watch.pid(0)


def test_a_worker_is_replaced_after_an_unexpected_exception(tmp_path: Path) -> None:
    pids = []
    with local() as executor:
        watch = Watch(executor)
        for number, script in enumerate(["epochs", "raise", "epochs"]):
            watch.submit(make_attempt(tmp_path, number, script, error="bug"))
            while not watch.of(number) or isinstance(watch.of(number)[-1], EpochDone):
                watch.poll(1.0)
            if script == "epochs":
                pids.append(watch.pid(number))
    assert pids[0] != pids[1]


def test_too_many_attempts_are_refused(tmp_path: Path) -> None:
    with local() as executor:
        executor.submit(make_attempt(tmp_path, 0, "loop"))
        with pytest.raises(RuntimeError, match="free slot"):
            executor.submit(make_attempt(tmp_path, 1, "loop"))


@pytest.mark.parametrize("wrong", [{"slots": 0}, {"threads": 0}, {"lease_seconds": 0.0}])
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected slots >= 1"):
        local(**wrong)  # type: ignore[arg-type]


def test_a_log_that_cannot_be_written_fails_the_attempt(tmp_path: Path) -> None:
    (tmp_path / "0").write_text("a file where the folder should be")
    with local() as executor:
        watch = Watch(executor)
        watch.submit(make_attempt(tmp_path, 0, "epochs"))
        while not watch.of(0):
            watch.poll(1.0)
    assert "FileExistsError" in repr(watch.of(0)[0])


ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

COORDINATOR = """
if __name__ == "__main__":
    import os, signal, sys
    from pathlib import Path
    from autokd.executors import Finished, LocalExecutor
    from autokd.executors.scripted import make_attempt, make_scripted_runner
    from autokd.executors.testing import Watch
    root = Path(sys.argv[1])
    executor = LocalExecutor(make_scripted_runner, 2, lease_seconds=120, threads=1)
    watch = Watch(executor)
"""


def run_coordinator(folder: Path, body: str) -> subprocess.Popen[str]:
    """A coordinator in a process of its own, and in a group of its own."""
    script = folder / "coordinator.py"
    script.write_text(COORDINATOR + "".join(f"    {line}\n" for line in body.splitlines()))
    return subprocess.Popen(
        [sys.executable, str(script), str(folder)],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.fixture
def coordinators() -> Iterator[list[subprocess.Popen[str]]]:
    """Coordinators that are killed at the end of the test, if they still run."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


def test_workers_end_when_the_coordinator_is_killed(
    tmp_path: Path, coordinators: list[subprocess.Popen[str]]
) -> None:
    coordinators.append(
        run_coordinator(
            tmp_path,
            "executor.submit(make_attempt(root, 0, 'loop'))\n"
            "executor.submit(make_attempt(root, 1, 'defy'))\n"
            "print(watch.pid(0), watch.pid(1), flush=True)\n"
            "watch.until(Finished, 0)\n",
        )
    )
    assert coordinators[0].stdout is not None
    pids = [int(pid) for pid in coordinators[0].stdout.readline().split()]
    assert len(pids) == 2
    coordinators[0].kill()
    for pid in pids:
        assert_ended(pid)


def test_an_executor_that_was_not_closed_does_not_keep_the_program_from_ending(
    tmp_path: Path, coordinators: list[subprocess.Popen[str]]
) -> None:
    coordinators.append(
        run_coordinator(
            tmp_path, "executor.submit(make_attempt(root, 0, 'loop'))\nprint(watch.pid(0))\n"
        )
    )
    out, err = coordinators[0].communicate(timeout=HANG_SECONDS)
    assert (coordinators[0].returncode, err) == (0, "")
    assert_ended(int(out))


def test_ctrl_c_reaches_the_coordinator_only(
    tmp_path: Path, coordinators: list[subprocess.Popen[str]]
) -> None:
    coordinators.append(
        run_coordinator(
            tmp_path,
            "signal.signal(signal.SIGINT, lambda *_: print('interrupted', flush=True))\n"
            "executor.submit(make_attempt(root, 0, 'epochs'))\n"
            "os.killpg(0, signal.SIGINT)\n"  # while the worker starts
            "pid = watch.pid(0)\n"
            "os.kill(pid, signal.SIGINT)\n"
            "watch.until(Finished, 0)\n"
            "executor.submit(make_attempt(root, 1, 'epochs'))\n"
            "watch.until(Finished, 1)\n"
            "print(watch.pid(1) == pid)\n"
            "executor.close()\n",
        )
    )
    out, err = coordinators[0].communicate(timeout=HANG_SECONDS)
    assert (out, err) == ("interrupted\nTrue\n", "")


def test_a_script_without_a_main_guard_is_told_so(
    tmp_path: Path, coordinators: list[subprocess.Popen[str]]
) -> None:
    script = tmp_path / "unguarded.py"
    guarded = COORDINATOR.replace('if __name__ == "__main__"', "if True")
    body = "executor.submit(make_attempt(root, 0, 'epochs'))\nwatch.until(Finished, 0)\n"
    script.write_text(guarded + "".join(f"    {line}\n" for line in body.splitlines()))
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
    )
    assert done.returncode == 1
    last = done.stderr[done.stderr.rindex("AutokdError") :]
    assert 'must do so under `if __name__ == "__main__":`' in last

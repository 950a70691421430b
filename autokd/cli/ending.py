"""How a study ended: its result, what to do next, and the exit code that belongs to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer

from autokd.cli.output import plural, print_json, print_summary, say
from autokd.errors import NothingFeasibleError

_ON_HOLD = ("paused", "cancelled")


def conclude(
    summary: Mapping[str, Any],
    options: str,
    *,
    as_json: bool,
    error: str | None = None,
    found_nothing_to_do: bool = False,
) -> None:
    """Prints the result of a search and ends the command as the search did.

    Args:
        summary: of the study.
        options: what a command needs to find it again.
        as_json: whether the result is wanted as data.
        error: why the study failed, if it did.
        found_nothing_to_do: whether it had ended before.

    Raises:
        typer.Exit: unless the search ended well.
        NothingFeasibleError: no architecture fitted the budget.
    """
    if as_json:
        print_json(summary)
    else:
        print_summary(summary)
    _say_what_next(summary, options, error, found_nothing_to_do=found_nothing_to_do)
    state, reason = summary["state"], summary["stop_reason"]
    if state == "failed" or _has_failed(summary):
        raise typer.Exit(8)
    if reason == "nothing_feasible":
        raise NothingFeasibleError(
            "no architecture of the space was found inside the budget",
            hint="`autokd check` says by how much the nearest one misses it",
        )
    if reason == "user" or state in _ON_HOLD:
        raise typer.Exit(130)


def _say_what_next(
    summary: Mapping[str, Any], options: str, error: str | None, *, found_nothing_to_do: bool
) -> None:
    name, state = summary["study"], summary["state"]
    say("")
    if state == "failed" and error is not None:
        say(f"the study failed: {error}")
    elif _has_failed(summary):
        failed = plural(summary["trials"]["failed"], "trial")
        too_many = summary["stop_reason"] == "failures"
        say(
            f"{failed} failed, {'more than limits.failures bears' if too_many else 'none finished'}"
        )
        say(f"why: autokd study show {name}{options}, then autokd trial logs {name} N{options}")
    elif state in _ON_HOLD:
        say(f"{state}; to go on: autokd study resume {name}{options}")
    elif state == "stopped" and summary["stop_reason"] == "user":
        say("stopped; run the same command again to go on")
    elif found_nothing_to_do:
        say("nothing was left to do; raise a limit to go on, for example --trials N")
    if summary["front"] and state == "completed":
        say(f"next: autokd front {name} --plot front.png{options}")
        say(f"      autokd export {name} --best -o {name}-student{options}")


def _has_failed(summary: Mapping[str, Any]) -> bool:
    """Whether the search bore too many failures, or ended with nothing but failures."""
    trials = summary["trials"]
    if summary["state"] != "completed":
        return bool(summary["stop_reason"] == "failures")
    return bool(trials["failed"]) and not (trials["complete"] or trials["pruned"])

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from autokd.budget import Cost
from autokd.space import Architecture
from autokd.trial import Evaluation, Trial, TrialKind, TrialState


@pytest.fixture
def make_trial() -> Callable[..., Trial]:
    """Makes a trial of one network; `accuracies` are those at 1, 3, 9, … epochs."""

    def make(
        number: int,
        accuracies: Sequence[float] = (0.5,),
        parameters: int = 1000,
        state: TrialState = TrialState.COMPLETE,
        kind: TrialKind = TrialKind.SEARCH,
    ) -> Trial:
        return Trial(
            number=number,
            kind=kind,
            candidate=number,
            architecture=Architecture("s", {"n": number}),
            distillation={},
            cost=Cost(parameters, 4 * parameters, 100, 10 * parameters),
            repeat=0,
            state=state,
            epochs=3 ** len(accuracies),
            evaluations=tuple(
                Evaluation(3**rung, {"accuracy": accuracy})
                for rung, accuracy in enumerate(accuracies)
            ),
        )

    return make

"""keras-tuner's oracles, written to disk whole or not at all, so that a killed search goes on."""

from __future__ import annotations

import functools
import json
import os
import pathlib
from typing import Any

import keras_tuner
from keras_tuner import oracles
from keras_tuner.engine.trial import TrialStatus

from tl_toolkit.errors import unknown_name

TUNERS = ("bayesian", "random", "grid", "hyperband")
NO_LIMIT = 10**9


class _WrittenWhole:
    """Writes the oracle's and the trials' files aside and renames them; keras-tuner writes in place."""

    def save(self) -> None:
        name = pathlib.Path(self._get_oracle_fname())
        part = name.with_suffix(".part")
        part.write_text(json.dumps(self.get_state()))
        os.replace(part, name)

    def set_state(self, state: dict[str, Any]) -> None:
        # A trial whose start was not written down has to be drawn again.
        started = state["start_order"]
        self.trials = {name: trial for name, trial in self.trials.items() if name in started}
        super().set_state(state)

    def _save_trial(self, trial: Any) -> None:
        folder = self._get_trial_dir(trial.trial_id)
        trial.save(os.path.join(folder, "trial.part"))
        os.replace(os.path.join(folder, "trial.part"), os.path.join(folder, "trial.json"))


class _Random(_WrittenWhole, oracles.RandomSearchOracle):
    pass


class _Bayesian(_WrittenWhole, oracles.BayesianOptimizationOracle):
    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Draws a point; at random where the predicted optimum was tried, since trials are repeatable."""
        drawn = super().populate_space(trial_id)
        if drawn["status"] != TrialStatus.RUNNING or not self._duplicate(drawn["values"]):
            return drawn
        values = self._random_values()
        status = TrialStatus.STOPPED if values is None else TrialStatus.RUNNING
        return {"status": status, "values": values}


class _Hyperband(_WrittenWhole, oracles.HyperbandOracle):
    pass


class _Grid(_WrittenWhole, oracles.GridSearchOracle):
    def set_state(self, state: dict[str, Any]) -> None:
        """Restores, beside the rest, where in the grid the search is, which keras-tuner forgets."""
        super().set_state(state)

        def compare(one: str, other: str) -> int:
            values = (self.trials[trial].hyperparameters.values for trial in (one, other))
            return self._compare(*values)

        before = None
        for trial in sorted(self.start_order, key=functools.cmp_to_key(compare)):
            self._ordered_ids.insert(trial, before)
            self._populate_next.append(trial)
            before = trial


def make_oracle(
    tuner: str, objective: str, direction: str, trials: int | None, epochs: int, seed: int
) -> keras_tuner.Oracle:
    """Returns an oracle that counts failed trials without ending the search.

    Args:
        tuner: One of `TUNERS`.
        objective: The figure by which trials are compared.
        direction: `"max"` or `"min"`.
        trials: Most trials; None for as many as a grid or Hyperband has.
        epochs: Of Hyperband's longest trials.
        seed: Of what is drawn; over 0, since keras-tuner draws one of its own for 0.
    """
    common = {
        "objective": keras_tuner.Objective(objective, direction),
        "seed": seed,
        "max_consecutive_failed_trials": NO_LIMIT,
    }
    if tuner == "hyperband":
        oracle = _Hyperband(max_epochs=epochs, **common)
        oracle.max_trials = trials
        return oracle
    if tuner == "grid":
        return _Grid(max_trials=trials, **common)
    if tuner not in TUNERS:
        raise unknown_name("tuner", tuner, TUNERS)
    kind = _Random if tuner == "random" else _Bayesian
    return kind(max_trials=trials, **common)

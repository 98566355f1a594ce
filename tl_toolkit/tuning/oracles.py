"""keras-tuner's oracles, with state files that are always whole and checked, so that a killed search resumes."""

from __future__ import annotations

import functools
import pathlib
from typing import Any

import keras_tuner
from keras_tuner import oracles
from keras_tuner.engine.trial import TrialStatus

from tl_toolkit.errors import unknown_name
from tl_toolkit.files.checked_json import read_checked_json, write_checked_json

TUNERS = ("bayesian", "random", "grid", "hyperband")
NO_LIMIT = 10**9
# What keras-tuner raises for a state that is none.
UNUSABLE = (LookupError, TypeError, AttributeError, ValueError, RuntimeError)


class DamagedStateError(ValueError):
    """The state of a search cannot be relied on; the message says what is wrong with it."""


class _WrittenWhole(keras_tuner.Oracle):
    """Writes the oracle's and the trials' files whole, with checksums; keras-tuner writes them in place."""

    trials: dict[str, Any]

    def save(self) -> None:
        write_checked_json(pathlib.Path(self._get_oracle_fname()), self.get_state())

    def reload(self) -> None:
        """Reads the state back.

        Raises:
            DamagedStateError: A file of it is missing, or is not as it was written.
        """
        state = pathlib.Path(self._get_oracle_fname())
        for path in (state, *state.parent.glob("trial_*/trial.json")):
            try:
                read_checked_json(path)
            except (OSError, ValueError) as error:
                name = path.relative_to(state.parent)
                raise DamagedStateError(f"{str(name)!r} cannot be read: {error}") from error
        try:
            super().reload()
        except UNUSABLE as error:  # of an earlier version, whose files have no checksums
            raise DamagedStateError(f"the tuner cannot use it: {error!r}") from error
        if missing := sorted(set(self.start_order) - set(self.trials)):
            raise DamagedStateError(f"'trial_{missing[0]}/trial.json' is missing")

    def set_state(self, state: dict[str, Any]) -> None:
        # A trial whose start was not written down has to be drawn again.
        started = state["start_order"]
        self.trials = {name: trial for name, trial in self.trials.items() if name in started}
        super().set_state(state)

    def _save_trial(self, trial: Any) -> None:
        path = pathlib.Path(self._get_trial_dir(trial.trial_id), "trial.json")
        write_checked_json(path, trial.get_state())


class _Random(_WrittenWhole, oracles.RandomSearchOracle):
    pass


class _Bayesian(_WrittenWhole, oracles.BayesianOptimizationOracle):
    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Draws a point: a random one if the predicted optimum was tried, since trials are repeatable."""
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
        """Restores the position in the grid too, which keras-tuner forgets."""
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
        trials: Maximum number of trials; None: all of a grid or of Hyperband.
        epochs: Length of Hyperband's longest trials.
        seed: Of the random draws; over 0, since for 0 keras-tuner chooses one itself.
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

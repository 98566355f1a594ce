"""Strategy `"auto"`: from the cheapest training to the dearest, keeping what is best on images that select."""

from __future__ import annotations

import dataclasses
import math

from tl_toolkit.catalog import ALL_BLOCKS, CROP, FEATURES, LBFGS, WeightSpec
from tl_toolkit.data.cut_off import note_on_images
from tl_toolkit.data.dataset import ImageDataset
from tl_toolkit.data.open import open_recipe_data
from tl_toolkit.errors import InputError
from tl_toolkit.experiments.context import Context
from tl_toolkit.experiments.prepare import network_of
from tl_toolkit.experiments.rungs import (
    ALIKE,
    LETTERBOXED,
    ON_ALL_BLOCKS,
    from_the_best,
    rung_recipes,
)
from tl_toolkit.experiments.selection import Candidate, Selection
from tl_toolkit.experiments.time_budget import TimeBudget
from tl_toolkit.experiments.train_and_validate import TrainedModel
from tl_toolkit.recipe import Recipe
from tl_toolkit.report.ladder import ACCURACY, LABELS_RIGHT, Rung, duration
from tl_toolkit.strategies import FullFineTune, LastLayers, NewHead
from tl_toolkit.training.loop import DivergedError
from tl_toolkit.transfer.feature_room import NoRoomError
from tl_toolkit.transfer.network_pool import NetworkPool

NETWORKS = 5  # with the head on the features, on all blocks, letterboxed, without the last stage, and with mirror images
TOO = {"resize": "letterboxed too", "last_stage": "without the last stage too"}
NO_TIME = "left out: no time"
ONE_SIDED_5_PERCENT = 1.645  # of a normal distribution, in standard deviations
UNSURE = (
    f"log loss lower by less than {ONE_SIDED_5_PERCENT} standard errors ({{:.3f}} each): not kept"
)
TIED = (
    "log loss higher than that of the head on the features, but by less than a standard error ({:.3f}), "
    "and on most data sets it is lower: preferred"
)
FLATTERED = "the epochs of trainings by steps were chosen on the images that rungs are compared by, which flatters them a little"
NO_STEPS = "without validation images `find` chooses a threshold only for a head that is solved for: nothing else was climbed"


@dataclasses.dataclass(frozen=True)
class Climb:
    """A finished climb.

    Attributes:
        trained: The model that is kept.
        rungs: All of them, the cheapest first.
        selected_on: The images that select, in words.
    """

    trained: TrainedModel
    rungs: tuple[Rung, ...]
    selected_on: str


def climb(recipe: Recipe, context: Context) -> Climb:
    """Trains the rungs in turn while there is time, and keeps the one of the least log loss.

    But for differences that the images do not settle: see `_errors_to_gain`.

    What it decides, such as for how many epochs a rung is trained, is kept with the checkpoints, so that a climb
    that is resumed decides the same.

    Args:
        recipe: Its strategy is `Auto`.
        context: What trainings share, and where they write.
    """
    start = plan_climb(recipe, context)
    context, selection, budget = start.context, start.selection, start.budget
    rungs = list(start.rungs)
    context.progress.message(f"Expected, timed on a few batches: {_expected(rungs)}")
    best: tuple[int, Candidate, Context] | None = None
    to_beat: tuple[Candidate, ...] = ()
    for number, rung in enumerate(rungs):
        planned, remarks = start.recipes[rung.name], [""]
        of_rung = planned if best is None else from_the_best(rung.name, planned, best[1].recipe)
        remarks += [TOO[name] for name in TOO if getattr(of_rung, name) != getattr(planned, name)]
        rungs[number] = rung = dataclasses.replace(rung, strategy=of_rung.to_json()["strategy"])
        epochs = budget.epochs(rung.name, selection, is_first=number == 0)
        if epochs is None:
            rungs[number] = dataclasses.replace(rung, note=NO_TIME)
            continue
        if epochs != budget.expected[rung.name].epochs:
            of_rung = of_rung.replace(epochs=epochs)
            remarks[0] = f"{epochs} epochs: no time for more"
        of_this = budget.watched(_own_checkpoints(context, rung.name, of_rung), selection)
        context = dataclasses.replace(context, announce_devices=False)  # they are the same for all
        try:
            with budget.spent_on(rung.name):
                found = selection.try_out(of_rung, of_this)
        except (DivergedError, NoRoomError) as error:
            rungs[number] = dataclasses.replace(rung, note=f"left out: {error}")
            continue
        found = budget.agreed(found)
        remarks[0] = _stopped_in_time(found) or remarks[0]
        is_better, doubt = _is_better(found, to_beat)
        remarks.append(doubt)
        figures = {name: getattr(found, name) for name in ("seconds", "top1", "log_loss")}
        note = "; ".join(filter(None, remarks))
        rungs[number] = dataclasses.replace(rung, note=note, **figures)
        context.progress.message(_line(rungs[number], selection))
        if is_better:
            best = number, found, of_this
            # What it took the place of without being better is still there to be beaten.
            to_beat = (found, *to_beat) if doubt else (found,)
    if best is None:
        raise InputError(f"No training came to an end: {rungs[0].note}")
    kept, found, of_kept = best
    rungs[kept] = dataclasses.replace(rungs[kept], kept=True)
    trained = found.model(of_kept)
    notes = *trained.experiment.notes, *_notes(rungs, kept, selection, start.recipes)
    experiment = dataclasses.replace(trained.experiment, notes=notes)
    trained = dataclasses.replace(trained, experiment=experiment)
    return Climb(trained, tuple(rungs), selection.images)


@dataclasses.dataclass(frozen=True)
class PlannedClimb:
    """What a climb will do.

    Attributes:
        rungs: The cheapest first, with the time that they are expected to take.
        recipes: Of the rungs, by name.
        selection: What they are compared by.
        budget: How much time there is.
        context: What they share.
    """

    rungs: tuple[Rung, ...]
    recipes: dict[str, Recipe]
    selection: Selection
    budget: TimeBudget
    context: Context


def plan_climb(recipe: Recipe, context: Context) -> PlannedClimb:
    """Opens the data and times rungs on a few batches, as many as there is time for, unless that was done before."""
    dataset = context.dataset or open_recipe_data(recipe, context.progress)
    networks = context.networks or NetworkPool(NETWORKS)
    context = dataclasses.replace(
        context, dataset=dataset, networks=networks, checkpoint_at_end=True
    )
    selection, budget = Selection.of(recipe, dataset), TimeBudget(recipe, context)
    spec, _ = network_of(recipe, context)
    recipes = rung_recipes(
        recipe, dataset, spec.architecture.stages, _is_much_cut_off(recipe, dataset, spec)
    )
    if not selection.is_possible:
        recipes = dict(list(recipes.items())[:1])
    for name, of_rung in recipes.items():
        if name in ALIKE:
            budget.expect_alike(name, ALIKE[name])
        else:
            budget.time(name, of_rung, context)
    measure = LABELS_RIGHT if dataset.has_several_labels else ACCURACY
    rungs = [
        Rung(name, of_rung.to_json()["strategy"], budget.seconds(name, selection), measure=measure)
        for name, of_rung in recipes.items()
    ]
    return PlannedClimb(tuple(rungs), recipes, selection, budget, context)


def _is_much_cut_off(recipe: Recipe, dataset: ImageDataset, spec: WeightSpec) -> bool:
    """Whether many photos lose much where they are cut to a square, and neither the recipe nor its weights chose that."""
    is_cut = spec.preprocessing is not None and spec.preprocessing.resize == CROP
    return recipe.resize is None and is_cut and note_on_images(dataset.train.images) is not None


def _own_checkpoints(context: Context, name: str, recipe: Recipe) -> Context:
    if context.checkpoints is None:
        return context
    # Resumed, another head may do better: what begins with it is another training.
    if isinstance(recipe.strategy, (FullFineTune, LastLayers)):
        name = f"{name} on {recipe.strategy.on} {recipe.last_stage or ''}".rstrip()
    folder = context.checkpoints / name.replace(",", "").replace(" ", "_")
    return dataclasses.replace(context, checkpoints=folder)


def _expected(rungs: list[Rung]) -> str:
    return ", ".join(
        f"{rung.name} {duration(rung.expected_seconds)}"
        for rung in rungs
        if rung.expected_seconds is not None
    )


def _line(rung: Rung, selection: Selection) -> str:
    took = duration(rung.seconds or 0.0)
    if rung.top1 is None or rung.log_loss is None:
        return f"{rung.name}: {took}"
    return f"{rung.name}: {rung.measure} {rung.top1:.3f}, log loss {rung.log_loss:.3f} on {selection.images}; {took}"


def _is_better(found: Candidate, to_beat: tuple[Candidate, ...]) -> tuple[bool, str]:
    """Returns whether a rung takes the place of the best one so far, and what to say where its log loss alone says otherwise.

    Args:
        found: The rung.
        to_beat: The best one so far, and what that one took the place of without being better.
    """
    remark = ""
    for best in to_beat:
        if not _is_finite(best):
            continue
        if not _is_finite(found):
            return False, ""
        is_better, remark = _is_better_than(best, found)
        if not is_better:
            return False, remark
    return not to_beat or _is_finite(found), remark


def _is_better_than(best: Candidate, found: Candidate) -> tuple[bool, str]:
    is_lower, margin = _loss(found) < _loss(best), _errors_to_gain(found.recipe, best.recipe)
    if not margin or found.losses is None or best.losses is None or len(found.losses) < 2:
        return is_lower, ""
    gains = best.losses - found.losses
    error = float(gains.std(ddof=1) / math.sqrt(len(gains)))
    if margin > 0 and is_lower and gains.mean() <= margin * error:
        return False, UNSURE.format(error)
    if margin < 0 and not is_lower and gains.mean() >= margin * error:
        return True, TIED.format(error) if gains.mean() < 0 else ""
    return is_lower, ""


def _errors_to_gain(found: Recipe, best: Recipe) -> float:
    """Returns how many standard errors of the gain a rung has to gain, image by image; under 0, how many it may lose.

    A training by steps takes longer than a head that is solved for, and where there are validation images its epochs were
    chosen on them: it has to gain what chance makes in about one comparison of twenty. A head on all blocks takes the place of
    that on the features unless it is clearly worse: few images do not say which is better, and docs/defaults.md does.
    """
    if found.solver != LBFGS and best.solver == LBFGS:
        return ONE_SIDED_5_PERCENT
    is_head = isinstance(best.strategy, NewHead) and best.strategy.on == FEATURES
    if is_head and found == best.replace(strategy=NewHead(on=ALL_BLOCKS, solver=LBFGS)):
        return -1.0
    return 0.0


def _is_finite(candidate: Candidate) -> bool:
    return math.isfinite(_loss(candidate))


def _loss(candidate: Candidate) -> float:
    return math.nan if candidate.log_loss is None else candidate.log_loss


def _stopped_in_time(found: Candidate) -> str:
    """What a training that was stopped says of itself: its recipe alone would train on."""
    if found.trained is None or not found.trained.progress.stopped:
        return ""
    done = len(found.trained.progress.history)
    epochs = found.trained.experiment.hyperparameters.epochs
    return f"stopped after {done} of {epochs} epochs: no time for more" if done < epochs else ""


def _notes(
    rungs: list[Rung], kept: int, selection: Selection, recipes: dict[str, Recipe]
) -> tuple[str, ...]:
    """What the user should know of the choice."""
    name, climbed = rungs[kept].name, [rung for rung in rungs if rung.seconds is not None]
    if not selection.is_possible:
        return (
            f"'auto' trained {name!r} alone: with one image of most classes nothing can be compared",
        )
    notes = [f"'auto' kept {name!r}: no other rung was climbed"]
    if len(climbed) > 1:
        notes = [
            f"'auto' kept {name!r}, of {len(climbed)} rungs the one of the least log loss on {selection.images}"
        ]
        if any(_log_loss(rung) < _log_loss(rungs[kept]) for rung in climbed):
            notes[0] += ", but for differences that these images do not settle: see the ladder"
        if selection.folds is None and any(recipes[r.name].solver != LBFGS for r in climbed):
            notes.append(FLATTERED)
    if not any(of_rung.solver != LBFGS for of_rung in recipes.values()):
        notes.append(NO_STEPS)
    if LETTERBOXED in recipes:
        notes += _of_letterbox({rung.name: rung for rung in climbed}, selection.dataset)
    if rungs[kept].note:
        notes.append(f"{name}: {rungs[kept].note}")
    return tuple(notes)


def _log_loss(rung: Rung) -> float:
    return math.inf if rung.log_loss is None else rung.log_loss


def _of_letterbox(climbed: dict[str, Rung], dataset: ImageDataset) -> list[str]:
    """Says what decided on how photos become square, or that nothing did."""
    cut, whole = (
        climbed[n].log_loss if n in climbed else None for n in (ON_ALL_BLOCKS, LETTERBOXED)
    )
    if cut is None or whole is None:
        return list(filter(None, [note_on_images(dataset.train.images)]))
    return [
        f"many photos lose much where they are cut to a square: a new head on all blocks has log loss {cut:.3f} on cut ones, "
        f"and {whole:.3f} on letterboxed ones; the rungs after it take the way of the best one before them"
    ]

"""Strategy `"auto"`: from the cheapest training to the dearest, keeping what is best on images that select."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from tl_toolkit.catalog import (
    ADAPT,
    AFFINE,
    ALL_BLOCKS,
    CROP,
    FEATURES,
    FLIPS,
    LBFGS,
    LETTERBOX,
    augmentation_named,
)
from tl_toolkit.data.cut_off import note_on_images
from tl_toolkit.data.dataset import ImageDataset
from tl_toolkit.data.open import open_recipe_data
from tl_toolkit.errors import InputError
from tl_toolkit.experiments.context import Context
from tl_toolkit.experiments.selection import Candidate, Selection
from tl_toolkit.experiments.time_budget import TIMING, TimeBudget
from tl_toolkit.experiments.train_and_validate import TrainedModel
from tl_toolkit.recipe import OF_STEPS, Recipe
from tl_toolkit.report.ladder import ACCURACY, LABELS_RIGHT, Rung, duration
from tl_toolkit.strategies import FullFineTune, LastLayers, NewHead, Strategy
from tl_toolkit.training.loop import DivergedError
from tl_toolkit.transfer.defaults import choose_hyperparameters
from tl_toolkit.transfer.feature_room import NoRoomError
from tl_toolkit.transfer.network import choose_network, open_recipe_weights
from tl_toolkit.transfer.network_pool import NetworkPool
from tl_toolkit.transfer.updates import HEAD

# What is climbed.
HEAD_ALONE, ON_ALL_BLOCKS = "new head", "new head on all blocks"
LETTERBOXED, MIRRORED = f"{ON_ALL_BLOCKS}, letterboxed", f"{ON_ALL_BLOCKS}, mirrored"
LAST_LAYERS, EVERYTHING, ADAPTING = FINE_TUNED = (
    "last layers",
    "everything",
    "everything, adapting",
)
ALIKE = {LETTERBOXED: ON_ALL_BLOCKS, ADAPTING: EVERYTHING}  # what takes about as long as another
NETWORKS = 4  # with the head on the features, on all blocks, letterboxed, and with mirror images
TOO = "letterboxed too"
NO_TIME = "left out: no time"
WITHIN_AN_ERROR = "better by less than a standard error"
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
    for number, rung in enumerate(rungs):
        of_rung, remarks = start.recipes[rung.name], [""]
        if best is not None and rung.name != LETTERBOXED:
            of_rung = of_rung.replace(resize=best[1].recipe.resize)
            remarks += [TOO] if of_rung.resize != start.recipes[rung.name].resize else []
        if rung.name in FINE_TUNED:
            of_rung = _from_the_better_head(of_rung, rungs)
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
        is_better, doubt = _is_better(found, None if best is None else best[1])
        remarks.append(doubt)
        figures = {name: getattr(found, name) for name in ("seconds", "top1", "log_loss")}
        note = "; ".join(filter(None, remarks))
        rungs[number] = dataclasses.replace(rung, note=note, **figures)
        context.progress.message(_line(rungs[number], selection))
        if is_better:
            best = number, found, of_this
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
    recipes = rung_recipes(recipe, dataset, _is_much_cut_off(recipe, context, budget))
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


def rung_recipes(
    recipe: Recipe, dataset: ImageDataset, is_much_cut_off: bool = False
) -> dict[str, Recipe]:
    """Returns the recipe of each rung by its name, the cheapest first.

    Args:
        recipe: Its strategy is `Auto`.
        dataset: What it is trained on.
        is_much_cut_off: Nobody chose that photos are cut to a square, and many lose much: there is a rung that keeps all of
            them, and the rungs after it take the way of the best one before them.
    """
    solved = dict.fromkeys(OF_STEPS)
    augmentation = augmentation_named(recipe.augmentation or dataset.augmentation)
    if is_much_cut_off:
        recipe = recipe.replace(resize=CROP)

    def probe(**options: Any) -> Recipe:
        return recipe.replace(strategy=NewHead(solver=LBFGS, **options), **solved)

    def trained(strategy: Strategy) -> Recipe:
        return recipe.replace(strategy=strategy)

    rungs = {HEAD_ALONE: probe(), ON_ALL_BLOCKS: probe(on=ALL_BLOCKS)}
    if is_much_cut_off:
        rungs[LETTERBOXED] = probe(on=ALL_BLOCKS).replace(resize=LETTERBOX)
    if augmentation is not None and augmentation.flip:  # there is no up
        rungs[MIRRORED] = probe(on=ALL_BLOCKS, tta=FLIPS)
    if recipe.find is not None and dataset.validation is None:
        return rungs  # a threshold can be chosen out of fold, which only heads that are solved for have
    last = LastLayers(on=ALL_BLOCKS, head_first=True)
    rungs[LAST_LAYERS] = trained(last).replace(layer_rates=_rates_within(recipe, last))
    everything = FullFineTune(on=ALL_BLOCKS, head_first=True, bn_mode=AFFINE)
    rungs[EVERYTHING] = trained(everything)
    adapting = trained(FullFineTune(on=ALL_BLOCKS, head_first=True))
    if choose_hyperparameters(adapting, _fewest_images(recipe, dataset)).bn_mode == ADAPT:
        rungs[ADAPTING] = adapting
    return rungs


def _fewest_images(recipe: Recipe, dataset: ImageDataset) -> int:
    """Of the trainings that compare rungs, how many images the smallest learns from."""
    folds = Selection.of(recipe, dataset).folds
    left_out = 0 if folds is None else int(np.bincount(folds).max())
    return len(dataset.train) - left_out


def _from_the_better_head(recipe: Recipe, rungs: list[Rung]) -> Recipe:
    """Has a fine-tuning, which is timed on all blocks, begin with the head on the features where that did better."""
    losses = {rung.name: math.inf if rung.log_loss is None else rung.log_loss for rung in rungs}
    on_all_blocks = min(losses.get(name, math.inf) for name in (ON_ALL_BLOCKS, LETTERBOXED))
    if on_all_blocks < losses.get(HEAD_ALONE, math.inf):
        return recipe
    return recipe.replace(strategy=dataclasses.replace(recipe.strategy, on=FEATURES))


def _is_much_cut_off(recipe: Recipe, context: Context, budget: TimeBudget) -> bool:
    """Whether many photos lose much where they are cut to a square, and neither the recipe nor its weights chose that."""
    dataset = context.dataset
    if recipe.resize is not None or dataset is None or note_on_images(dataset.train.images) is None:
        return False
    with budget.spent_on(f"{TIMING} what is cut off"):
        first = rung_recipes(recipe, dataset)[HEAD_ALONE]
        weights = open_recipe_weights(first, context.weights, context.progress)
        preprocessing = choose_network(first, weights).preprocessing
    return preprocessing is not None and preprocessing.resize == CROP


def _rates_within(recipe: Recipe, strategy: LastLayers) -> dict[str, float] | None:
    """The rates of stages that are trained; what names none at all, training everything refuses."""
    stage = strategy.trainable_from.partition("_")[0]
    rates = {
        name: rate
        for name, rate in dict(recipe.layer_rates or ()).items()
        if name.partition("_")[0] in (stage, HEAD)
    }
    return rates or None


def _own_checkpoints(context: Context, name: str, recipe: Recipe) -> Context:
    if context.checkpoints is None:
        return context
    # Resumed, another head may do better: what begins with it is another training.
    if isinstance(recipe.strategy, (FullFineTune, LastLayers)):
        name = f"{name} on {recipe.strategy.on}"
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


def _is_better(found: Candidate, best: Candidate | None) -> tuple[bool, str]:
    """Returns whether a rung takes the place of the best one so far, and why it does not though its log loss is lower.

    A training by steps takes longer than a head that is solved for, and where there are validation images its epochs were
    chosen on them: it has to gain more than a standard error of the gain (Breiman et al. 1984, section 3.4.3).
    """
    if best is None or _loss(found) >= _loss(best):
        return best is None, ""
    is_chosen_here = found.recipe.solver != LBFGS and best.recipe.solver == LBFGS
    if not is_chosen_here or found.losses is None or best.losses is None or len(found.losses) < 2:
        return True, ""
    gains = best.losses - found.losses
    error = float(gains.std(ddof=1) / math.sqrt(len(gains)))
    if gains.mean() > error:
        return True, ""
    return False, f"{WITHIN_AN_ERROR} ({error:.3f}): not kept"


def _loss(found: Candidate) -> float:
    return math.inf if found.log_loss is None else found.log_loss


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
        if any(WITHIN_AN_ERROR in rung.note for rung in climbed):
            notes[0] += (
                ", but for what was trained by steps and is better by less than a standard error"
            )
        if selection.folds is None and any(recipes[r.name].solver != LBFGS for r in climbed):
            notes.append(FLATTERED)
    if not any(of_rung.solver != LBFGS for of_rung in recipes.values()):
        notes.append(NO_STEPS)
    if LETTERBOXED in recipes:
        notes += _of_letterbox({rung.name: rung for rung in climbed}, selection.dataset)
    if rungs[kept].note:
        notes.append(f"{name}: {rungs[kept].note}")
    return tuple(notes)


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

"""Optimizer and schedule from a run's numbers."""

from __future__ import annotations

import keras
import tensorflow as tf

from tl_toolkit.private_names import leave_gradients_alone, sums_gradients_as_known
from tl_toolkit.training.by_variable import AdamByVariable, FirstValues, Rule, SGDByVariable
from tl_toolkit.transfer.defaults import Hyperparameters
from tl_toolkit.transfer.updates import Update, plan_updates


def make_optimizer(
    model: keras.Model, hyperparameters: Hyperparameters
) -> keras.optimizers.Optimizer:
    """Returns a built optimizer for the trainable variables of `model`.

    The learning rate rises linearly to its peak and falls along half a cosine to 0 (Loshchilov and
    Hutter 2017). Weight decay is decoupled; `plan_updates` says where it acts, and at which rate each variable
    follows. Where all follow at the same and none is held back, it is Keras' own optimizer. Under the dtype policy `mixed_float16` the loss is scaled, so that
    small gradients are not lost (Micikevicius et al. 2018); a step whose gradients overflow is left out.

    The gradients that it applies are those of all replicas together: `TrainingStep` adds them up.
    """
    total_steps = hyperparameters.epochs * hyperparameters.steps_per_epoch
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0
        if hyperparameters.warmup_steps
        else hyperparameters.learning_rate,
        warmup_target=hyperparameters.learning_rate if hyperparameters.warmup_steps else None,
        warmup_steps=hyperparameters.warmup_steps,
        decay_steps=max(total_steps - hyperparameters.warmup_steps, 1),
    )
    updates = plan_updates(model, hyperparameters)
    if all(update.is_usual for update in updates.values()):
        optimizer = _usual(schedule, model, hyperparameters, updates)
    else:
        optimizer = _by_variable(schedule, model, hyperparameters, updates)
    if not sums_gradients_as_known(optimizer) and _replicas() > 1:
        raise RuntimeError(
            f"Keras {keras.__version__} adds up the replicas' gradients in a way that is not known here, and "
            "they would be added up twice: train on one device, or with Keras 3.15."
        )
    leave_gradients_alone(optimizer)
    if keras.config.dtype_policy().name == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    optimizer.build(model.trainable_variables)
    return optimizer


def _replicas() -> int:
    return tf.distribute.get_strategy().num_replicas_in_sync


def _usual(
    schedule: keras.optimizers.schedules.LearningRateSchedule,
    model: keras.Model,
    hyperparameters: Hyperparameters,
    updates: dict[str, Update],
) -> keras.optimizers.Optimizer:
    weight_decay = hyperparameters.weight_decay or None
    if hyperparameters.optimizer == "adamw":
        optimizer = keras.optimizers.AdamW(schedule, weight_decay=weight_decay or 0.0)
    else:
        optimizer = keras.optimizers.SGD(
            schedule, momentum=0.9, nesterov=True, weight_decay=weight_decay
        )
    if weight_decay:
        not_decayed = [v for v in model.trainable_variables if not updates[v.path].weight_decay]
        optimizer.exclude_from_weight_decay(var_list=not_decayed)
    return optimizer


def _by_variable(
    schedule: keras.optimizers.schedules.LearningRateSchedule,
    model: keras.Model,
    hyperparameters: Hyperparameters,
    updates: dict[str, Update],
) -> keras.optimizers.Optimizer:
    if hyperparameters.optimizer == "adamw":
        optimizer = AdamByVariable(schedule)
    else:
        optimizer = SGDByVariable(schedule, momentum=0.9, nesterov=True)
    trained = model.trainable_variables
    first_values = FirstValues([v for v in trained if updates[v.path].l2_sp])
    optimizer.rule = Rule(tuple(v.path for v in trained), updates, first_values)
    return optimizer

"""Optimizer and schedule from a run's numbers."""

from __future__ import annotations

import keras
import tensorflow as tf

from tl_toolkit.models.batch_norm import BatchNormalization
from tl_toolkit.private_names import leave_gradients_alone, sums_gradients_as_known
from tl_toolkit.transfer.defaults import Hyperparameters


def make_optimizer(
    model: keras.Model, hyperparameters: Hyperparameters
) -> keras.optimizers.Optimizer:
    """Returns a built optimizer for the trainable variables of `model`.

    The learning rate rises linearly to its peak and falls along half a cosine to 0 (Loshchilov and
    Hutter 2017). Weight decay is decoupled and leaves batch normalisation and biases alone (He et al.
    2019, "Bag of Tricks", section 3.1). Under the dtype policy `mixed_float16` the loss is scaled, so that
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
    weight_decay = hyperparameters.weight_decay or None
    if hyperparameters.optimizer == "adamw":
        optimizer = keras.optimizers.AdamW(schedule, weight_decay=weight_decay or 0.0)
    else:
        optimizer = keras.optimizers.SGD(
            schedule, momentum=0.9, nesterov=True, weight_decay=weight_decay
        )
    if weight_decay:
        optimizer.exclude_from_weight_decay(var_list=_not_decayed(model))
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


def _not_decayed(model: keras.Model) -> list:
    return [
        variable
        for layer in model.layers
        for variable in layer.trainable_variables
        if isinstance(layer, BatchNormalization) or variable.name == "bias"
    ]

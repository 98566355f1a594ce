"""How well the moving statistics that a training left behind fit its images, for the run's report."""

from __future__ import annotations

from tl_toolkit.catalog import ADAPT
from tl_toolkit.experiments.batch_norm_report import batch_norm_report
from tl_toolkit.experiments.train_and_validate import TrainedModel
from tl_toolkit.progress import SILENT, Progress
from tl_toolkit.report.batch_norm_page import BatchNormReport
from tl_toolkit.training.run_state import START

# They cost a pass of evaluation and one as in training, both traced anew: after a shorter training that would be felt.
IMAGES, LEAST_SECONDS = 64, 60.0


def batch_norm_of_run(trained: TrainedModel, progress: Progress = SILENT) -> BatchNormReport | None:
    """Measures a training whose batch normalisation adapted, on its training images without augmentation.

    Args:
        trained: The model.
        progress: Shows what is done.

    Returns:
        None where no epoch's statistics were kept, or the training took less than a minute.
    """
    experiment, training = trained.experiment, trained.progress
    adapts = ADAPT in experiment.plan.bn_modes.values() and len(experiment.dataset.train) > 1
    if not adapts or training.best_epoch == START or training.seconds < LEAST_SECONDS:
        return None
    epochs = len(training.history) if training.best_epoch is None else training.best_epoch + 1
    return batch_norm_report(
        experiment.model,
        experiment.dataset,
        images=IMAGES,
        steps=epochs * experiment.hyperparameters.steps_per_epoch,
        batch_size=experiment.hyperparameters.smallest_batch,
        progress=progress,
    )

"""The files that each kind of output folder holds."""

CHECKPOINTS = "checkpoints"
RUN, COMPARISON, SEARCH, CROSS_VALIDATION = "run", "comparison", "search", "cross-validation"
PAGE = "report.html"
EXPORTS, EXPORTS_FILE = (
    "exports",
    "exports.json",
)  # the network in other formats, and how they compare
# What each kind puts into its folder; whatever else is in there is the user's.
WRITTEN = {
    RUN: {
        "batch_norm.csv",
        "blocks.png",
        "confusion_matrix.png",
        "contact_sheet.png",
        EXPORTS,
        EXPORTS_FILE,
        "held_back.png",
        "history.csv",
        "label_curves.png",
        "ladder.json",
        "ladder.png",
        "metrics.json",
        "model.keras",
        "model_card.md",
        "out_of_fold.csv",
        "plan.json",
        "recipe.json",
        "recipe.weights.json",
        "regularisation_path.png",
        "reliability.png",
        PAGE,
        "roc.png",
        "saved_model",
        "summary.md",
        "tensorflow.log",
        "test_answers.csv",
        "training_curves.png",
        "versions.json",
        "weights.json",
        CHECKPOINTS,
    },
    COMPARISON: {"best", "comparison.json", "comparison.png", PAGE, CHECKPOINTS},
    CROSS_VALIDATION: {
        "cross_validation.json",
        "out_of_fold.csv",
        "recipe.json",
        PAGE,
        CHECKPOINTS,
    },
    SEARCH: {
        "best_recipe.json",
        "best_recipe.weights.json",
        "parallel_coordinates.png",
        PAGE,
        "retrained",
        "search.json",
        "search_map.png",
        "tensorboard",
        "trials",
        "trials.csv",
    },
}

"""Which file of a finished run answers without TensorFlow: an export that was found equal to the SavedModel."""

from __future__ import annotations

import importlib.util
import json
import pathlib
from typing import Final, Literal

from tl_toolkit.data.file_names import user_path
from tl_toolkit.errors import InputError
from tl_toolkit.experiments.written_files import EXPORTS_FILE
from tl_toolkit.export.saved_model_layout import SAVED_MODEL, TOLERANCES
from tl_toolkit.files.manifest import MANIFEST, check_file

Runtime = Literal["auto", "tensorflow", "onnx", "litert", "openvino"]
AUTO: Final = "auto"
TENSORFLOW: Final = "tensorflow"
# By format, the runtime and the package that it is in; those that start first, first.
RUNTIMES = {
    "onnx": ("ONNX Runtime", "onnxruntime"),
    "litert": ("LiteRT", "ai_edge_litert"),
    "openvino": ("OpenVINO", "openvino"),
}


def answering_file(model: str, runtime: Runtime = AUTO) -> tuple[pathlib.Path, str] | None:
    """Returns the exported file of a run that answers, and the name of its runtime; None: TensorFlow does.

    Args:
        model: What `load_classifier` takes.
        runtime: `"auto"` takes the first file that was off from the SavedModel by at most 1e-4 in any probability when
            it was exported, and whose runtime is installed; None where there is none. A format takes its file.

    Raises:
        InputError: A format was asked for that the run was not exported to, or a file is damaged.
    """
    run = user_path(model)
    rows = _exports(run) if runtime != TENSORFLOW else {}
    if runtime in RUNTIMES:
        if runtime not in rows:
            raise InputError(
                f"{model!r} is no run with a file for --runtime {runtime}: tl-toolkit export {model} --to {runtime} writes one."
            )
        return run / rows[runtime]["files"][0], RUNTIMES[runtime][0]
    for name, (words, package) in RUNTIMES.items():
        is_equal = name in rows and rows[name]["largest_difference"] <= TOLERANCES["float32"]
        if is_equal and importlib.util.find_spec(package) is not None:
            return run / rows[name]["files"][0], words
    return None


def _exports(run: pathlib.Path) -> dict[str, dict]:
    """Returns what `exports.json` says of each format; nothing where there is none, or nothing to check it by."""
    if not (run / EXPORTS_FILE).is_file() or not (run / MANIFEST).is_file():
        return {}
    check_file(run / EXPORTS_FILE, run, "--runtime tensorflow does without it.")
    # The SavedModel is still the one that they were compared with.
    check_file(run / SAVED_MODEL / MANIFEST, run)
    return json.loads((run / EXPORTS_FILE).read_bytes())["formats"]

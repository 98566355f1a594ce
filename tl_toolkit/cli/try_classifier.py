"""`tl-toolkit try`."""

from __future__ import annotations

import tyro

from tl_toolkit.cli.terminal import terminal
from tl_toolkit.errors import InputError


def try_classifier(
    model: tyro.conf.Positional[str],
    port: int = 8000,
    learned: int = 2000,
    open: bool = False,
    verbose: bool = False,
) -> None:
    """Opens a page on this computer to try a classifier with: drop photos on it, or use the camera.

    It needs the extra `try` (pip install 'tl-toolkit[try]'), and serves this computer alone, one photo at a time.

    Args:
        model: A finished run's folder or the SavedModel in it; or a network such as resnet50, for the
            1,000 classes of ImageNet.
        port: Of this computer; 0 for any that is free.
        learned: Of the photos that the run learned from, how many to find the most similar ones among; 0 for none.
        open: Open the page in the browser.
        verbose: Show TensorFlow's own messages.
    """
    if not 0 <= port <= 65535:
        raise InputError(f"--port must be 0 to 65535. Received: {port}")
    if learned < 0:
        raise InputError(f"--learned must be at least 0. Received: {learned}")
    with terminal(verbose) as progress:
        from tl_toolkit.export.classifier import load_classifier
        from tl_toolkit.web.serve import ADDRESS, listen, serve

        with listen(port) as listening:
            address = f"http://{ADDRESS}:{listening.getsockname()[1]}/"
            with progress.stage("Loading the model"):
                classifier = load_classifier(model)

            def on_start() -> None:
                progress.message(f"{address}  (Ctrl-C ends it)")
                if open:
                    import webbrowser

                    webbrowser.open(address)

            serve(classifier, listening, learned, on_start, progress)

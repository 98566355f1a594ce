"""Serves the page on this computer until it is stopped."""

from __future__ import annotations

import contextlib
import pathlib
import socket
import threading
from collections.abc import Callable

from tl_toolkit.errors import InputError
from tl_toolkit.experiments.nearest_photos import LearnedPhotos
from tl_toolkit.export.classifier import Classifier
from tl_toolkit.progress import SILENT, Progress
from tl_toolkit.report.page.shell import Page, render_asking_page
from tl_toolkit.web.answers import Answerer
from tl_toolkit.web.endable_progress import EndableProgress, EndedError

ADDRESS = "127.0.0.1"
PAGE = pathlib.Path(__file__).with_name("page") / "try.html.j2"
SERVING = (
    'docker run -p 8501:8501 -v "{folder}:/models/classifier/1" -e MODEL_NAME=classifier '
    "tensorflow/serving"
)


def listen(port: int) -> socket.socket:
    """Takes a port of this computer.

    Raises:
        InputError: It is in use, or may not be used.
    """
    taken = socket.socket()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((ADDRESS, port))
    except OSError as error:
        taken.close()
        raise InputError(
            f"Port {port} cannot be used: {error.strerror}. Choose another with --port."
        ) from error
    return taken


def serve(
    classifier: Classifier,
    listening: socket.socket,
    learned: int = 0,
    on_start: Callable[[], None] = lambda: None,
    progress: Progress = SILENT,
) -> None:
    """Serves until Ctrl-C.

    Args:
        classifier: What is tried.
        listening: From `listen`.
        learned: Of the photos that it learned from, how many to compare with; they are looked at while it serves.
        on_start: Called once it answers.
        progress: Shows how many are looked at.

    Raises:
        InputError: The extra `try` is not installed.
    """
    try:
        import uvicorn

        from tl_toolkit.web.app import make_app
    except ImportError as error:
        raise InputError(f"{error}: install it with pip install 'tl-toolkit[try]'.") from error
    answerer = Answerer(classifier)
    # uvicorn's own way to set up its log closes all handlers of the process, and absl's takes its stream along.
    config = uvicorn.Config(
        make_app(answerer, _page(classifier, answerer)), log_config=None, log_level="warning"
    )
    server = uvicorn.Server(config)
    listening.listen()  # from now on a browser waits, and is not refused
    ending = threading.Event()

    def begin() -> None:
        on_start()
        if learned and classifier.path is not None:
            endable = EndableProgress(progress, ending)
            _look_at_learned_photos(answerer, classifier.path.parent, learned, endable)

    looking = threading.Thread(target=begin, daemon=True)
    looking.start()
    try:
        with contextlib.suppress(KeyboardInterrupt):  # the way to end it
            server.run(sockets=[listening])
    finally:
        ending.set()
        # Python cannot end while TensorFlow computes in another thread: the process would abort.
        looking.join()


def _look_at_learned_photos(
    answerer: Answerer, folder: pathlib.Path, most: int, progress: Progress
) -> None:
    try:
        answerer.learned = LearnedPhotos(folder, most, progress)
    except InputError as error:
        progress.message(f"No photos that are alike: {error}")
    except EndedError:
        return


def _page(classifier: Classifier, answerer: Answerer) -> Page:
    test = classifier.card.get("test")
    facts = f"It knows {len(classifier.class_names)} classes."
    if classifier.thresholds is not None:
        facts = f"It knows {len(classifier.class_names)} labels, of which a photo may have several or none."
        average = (test or {}).get("mean_average_precision")
        if test and average is not None:
            facts += (
                f" Its mean average precision on {test['examples']} test photos was {average:.3f}."
            )
    elif test:
        low, high = test["top1_interval"]
        facts += (
            f" Of {test['examples']} test photos it was right on {test['top1']:.1%} (95% interval {low:.1%} to "
            f"{high:.1%})."
        )
    calibration = classifier.card.get("facts", {}).get("calibration", "")
    return render_asking_page(
        PAGE,
        title=_title(classifier),
        facts=facts,
        probabilities=f"Calibration of the probabilities: {calibration}." if calibration else "",
        why_not_explained=answerer.why_not_explained,
        serving=SERVING.format(folder=classifier.path.resolve()) if classifier.path else "",
    )


def _title(classifier: Classifier) -> str:
    if classifier.path is not None:
        return classifier.path.parent.name
    return "An exported classifier" if classifier.network is None else "ImageNet's classes"

"""The server ends in order while it still looks at photos: a thread inside TensorFlow would abort the process."""

import threading
import time
import types

import pytest

from tl_toolkit.progress import Progress
from tl_toolkit.web import serve as serve_module
from tl_toolkit.web.endable_progress import EndableProgress, EndedError


def test_work_goes_on_until_it_is_ended_and_stops_where_it_says_how_far_it_is():
    ending = threading.Event()
    progress = EndableProgress(Progress(), ending)
    with progress.stage("Looking", total=2) as stage:
        stage.advance()
        progress.message("one")
        ending.set()
        for call in (stage.advance, lambda: stage.describe("x"), lambda: progress.message("x")):
            with pytest.raises(EndedError):
                call()
    with pytest.raises(EndedError), progress.stage("More"):
        pass


def test_the_thread_that_looks_at_photos_has_ended_when_serving_has(monkeypatch):
    uvicorn = pytest.importorskip("uvicorn")
    begun, ended = threading.Event(), threading.Event()

    class Endless:
        def __init__(self, folder, most, progress):
            try:
                with progress.stage("Looking") as stage:
                    while True:
                        begun.set()
                        stage.advance()
                        time.sleep(0.001)
            finally:
                ended.set()

    def run(server, sockets):
        assert begun.wait(60)
        raise KeyboardInterrupt

    monkeypatch.setattr(serve_module, "LearnedPhotos", Endless)
    monkeypatch.setattr(serve_module, "Answerer", lambda classifier: types.SimpleNamespace())
    monkeypatch.setattr(serve_module, "_page", lambda classifier, answerer: None)
    monkeypatch.setattr("tl_toolkit.web.app.make_app", lambda answerer, page: None)
    monkeypatch.setattr(uvicorn.Server, "run", run)
    monkeypatch.setattr(uvicorn, "Config", lambda app, **options: types.SimpleNamespace())
    monkeypatch.setattr(uvicorn.Server, "__init__", lambda server, config: None)
    classifier = types.SimpleNamespace(path=types.SimpleNamespace(parent="run"))
    with serve_module.listen(0) as listening:
        serve_module.serve(classifier, listening, learned=5)
    assert ended.is_set()

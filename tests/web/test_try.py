"""The local page answers photos, bounded and for this computer alone, and writes nothing."""

import base64
import contextlib
import io
import json
import logging
import queue
import struct
import threading
import time
import urllib.error
import urllib.request
import zlib

import pytest
from PIL import Image

import tl_toolkit as tl
from tl_toolkit.errors import InputError
from tl_toolkit.experiments.nearest_photos import LearnedPhotos
from tl_toolkit.web.serve import listen, serve
from tl_toolkit.web.upload import check_size

uvicorn = pytest.importorskip("uvicorn", reason="needs the extra `try`")


@contextlib.contextmanager
def served(monkeypatch, classifier, learned):
    """Serves in a thread, and yields the address once it can be asked."""
    servers = queue.Queue()
    run = uvicorn.Server.run
    monkeypatch.setattr(
        uvicorn.Server, "run", lambda self, sockets: (servers.put(self), run(self, sockets))
    )
    with listen(0) as listening:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread = threading.Thread(target=serve, args=(classifier, listening, learned), daemon=True)
        thread.start()
        server = servers.get(timeout=120)
        try:
            yield address
        finally:
            server.should_exit = True
            thread.join(30)
            assert not thread.is_alive()


@pytest.fixture(scope="module")
def address(finished_run):
    with pytest.MonkeyPatch.context() as monkeypatch:
        classifier = tl.load_classifier(finished_run.folder)
        with served(monkeypatch, classifier, learned=20) as address:
            yield address


def ask(address, contents, **headers):
    request = urllib.request.Request(f"{address}/answer", data=contents, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_a_photo_is_answered_as_the_classifier_answers_it(address, finished_run, photos):
    photo = photos / "blue" / "2.jpg"
    (expected,) = tl.load_classifier(finished_run.folder).predict(photo)
    status, answer = ask(address, photo.read_bytes())
    assert status == 200
    assert answer["answer"] == expected.class_name == "blue"
    shown = {row["name"]: row["probability"] for row in answer["classes"]}
    assert shown == pytest.approx(expected.probabilities, abs=1e-6)
    for name in ("photo", "heat_map"):
        kind, _, data = answer[name].partition(",")
        assert kind == "data:image/jpeg;base64"
        with Image.open(io.BytesIO(base64.b64decode(data))) as shown_photo, Image.open(photo) as of:
            assert shown_photo.size == of.size


def test_photos_that_are_alike_come_once_they_have_been_looked_at(address, photos):
    contents = (photos / "red" / "1.jpg").read_bytes()
    for _ in range(600):  # looked at within a second where nothing else runs
        neighbours = ask(address, contents)[1].get("neighbours")
        if neighbours:
            break
        time.sleep(0.1)
    assert len(neighbours) == 5
    assert [found["class_name"] for found in neighbours][:3] == ["red"] * 3
    similarities = [found["similarity"] for found in neighbours]
    assert similarities == sorted(similarities, reverse=True)


def test_a_photo_is_most_like_itself(finished_run):
    learned = LearnedPhotos(finished_run.folder, most=30)
    assert len(learned.photos) == 30
    for position in (0, 17):
        (found, *_) = learned.nearest(learned.photos.images.encoded(position), 3)
        assert (found.position, found.similarity) == (position, pytest.approx(1, abs=1e-5))


def test_what_is_no_photo_or_too_much_is_refused(address, monkeypatch):
    assert "no JPEG" in ask(address, b"no photo")[1]
    assert ask(address, b"")[0] == 422
    monkeypatch.setattr("tl_toolkit.web.upload.MOST_BYTES", 1)
    status, answer = ask(address, b"x" * (33 * 2**20))
    assert (status, "larger than 32 MB" in answer) == (422, True)


def bomb(side):
    """A PNG whose header names that many pixels a side."""

    def chunk(name, data):
        body = name + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def test_a_photo_that_would_take_all_memory_is_not_decoded(address):
    status, answer = ask(address, bomb(60_000))
    assert status == 422
    assert "too many pixels" in json.loads(answer)["error"]
    assert "12000 × 12000 pixels" in json.loads(ask(address, bomb(12_000))[1])["error"]
    check_size(bomb(5_000))
    with pytest.raises(InputError, match="at most 100 million"):
        check_size(bomb(10_001))


def test_other_pages_and_other_names_are_refused(address, photos):
    photo = (photos / "red" / "1.jpg").read_bytes()
    assert ask(address, photo, Origin="http://elsewhere.example")[0] == 403
    assert ask(address, photo, Host="elsewhere.example")[0] == 400
    assert ask(address, photo, Origin=address)[0] == 200


def test_the_page_says_what_it_is_and_allows_itself_alone(address, finished_run):
    with urllib.request.urlopen(address, timeout=30) as response:
        policy = response.headers["Content-Security-Policy"]
        page = response.read().decode()
    assert "default-src 'none'" in policy
    assert "connect-src 'self'" in policy
    assert "unsafe" not in policy
    assert "tensorflow/serving" in page
    assert "3 classes" in page
    test = finished_run.test
    assert f"Of {test['examples']} test photos it was right on {test['top1']:.1%}" in page


def test_log_handlers_that_were_there_stay_open(finished_run, monkeypatch):
    handler, closed = logging.StreamHandler(io.StringIO()), []
    monkeypatch.setattr(handler, "close", lambda: closed.append(True))
    with served(monkeypatch, tl.load_classifier(finished_run.folder), learned=0):
        pass
    assert closed == []


def test_a_port_that_is_taken_says_what_to_do():
    with listen(0) as taken:
        taken.listen()
        with pytest.raises(InputError, match="Choose another with --port"):
            listen(taken.getsockname()[1])

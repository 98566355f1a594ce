"""A run's page explains photos of its test images."""

import base64
import io
import json
import re

from PIL import Image


def page_data(page):
    return json.loads(re.search(r'<script id="data"[^>]*>(.*?)</script>', page, re.S)[1])


def test_a_runs_page_has_heat_maps_of_what_the_network_sees(finished_run):
    page = finished_run.page.read_text()
    assert "What the network looked at" in page
    maps = page_data(page)["maps"]
    assert 3 <= len(maps) <= 12
    for pair in maps.values():
        assert len(pair) == 2
        for kind, data in pair:
            assert kind == "webp"
            with Image.open(io.BytesIO(base64.b64decode(data))) as drawn:
                assert drawn.size == (16, 16)

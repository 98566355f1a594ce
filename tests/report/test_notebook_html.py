"""What a notebook shows of a result: escaped text, a table, and plots inside."""

import base64
import html.parser

import pytest
from PIL import Image

from tl_toolkit.progress import Table
from tl_toolkit.report.notebook_html import notebook_html


class _Reader(html.parser.HTMLParser):
    """Refuses tags that are not closed in order, and keeps the text and the images."""

    def __init__(self):
        super().__init__()
        self.open, self.text, self.images = [], [], []

    def handle_starttag(self, tag, attrs):
        assert tag in {"div", "p", "b", "table", "thead", "tbody", "tr", "th", "td", "img"}
        if tag == "img":
            self.images.append(dict(attrs))
        else:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def read(shown):
    reader = _Reader()
    reader.feed(shown)
    assert reader.open == []
    return reader


def test_text_is_escaped_and_plots_are_inside(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "training_curves.png")
    table = Table(("", "top-1"), (("<script>x</script>", "0.9"), ("a & b", "–")))
    plots = [tmp_path / "training_curves.png", tmp_path / "gone.png"]
    reader = read(notebook_html("<b>mine", [table], ["note: <i>", ""], plots))
    assert [text for text in reader.text if text.strip()] == [
        "<b>mine",
        "top-1",
        "<script>x</script>",
        "0.9",
        "a & b",
        "–",
        "note: <i>",
    ]
    (image,) = reader.images
    assert image["alt"] == "training curves"
    contents = base64.b64decode(image["src"].removeprefix("data:image/png;base64,"))
    assert contents == plots[0].read_bytes()


def test_it_names_no_colour_of_text_so_that_a_dark_page_keeps_its_own():
    shown = notebook_html("title", [Table(("a",), (("b",),))])
    assert "color:inherit" in shown
    assert "#" not in shown


@pytest.mark.slow
def test_a_run_shows_its_figures_and_plots(finished_run):
    shown = finished_run._repr_html_()
    reader = read(shown)
    text = " ".join(reader.text)
    assert f"{finished_run.test['top1']:.3f}" in text
    low, high = finished_run.test["top1_interval"]
    assert f"{low:.3f}–{high:.3f}" in text
    assert str(finished_run.page) in text
    assert len(reader.images) >= 2
    assert len(shown) < 500_000

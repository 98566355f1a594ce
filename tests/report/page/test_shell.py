"""The page around every report: nothing from elsewhere, and nothing of a stranger's that runs."""

import json
import re

from synthetic import HOSTILE, answers, page

from tl_toolkit.report.page.shell import is_page_of_ours, percent, points, render_page


def test_a_page_asks_for_nothing_from_elsewhere():
    html = page(answers(30), heat_maps=True)
    assert re.findall(r"(?:src|href)=[\"'](?!#|data:)", html) == []
    assert "@import" not in html
    assert re.findall(r"url\(", html) == []
    assert "http://" not in html
    assert "https://" not in html


def test_the_policy_allows_its_own_script_alone():
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', page(answers(30)))
    assert policy.startswith("default-src &#39;none&#39;; img-src data:; style-src &#39;sha256-")
    assert "script-src &#39;sha256-" in policy
    assert "unsafe" not in policy


def test_data_cannot_end_its_element():
    table = answers(25, 5, names=HOSTILE)
    html = page(table)
    (text,) = re.findall(
        r'<script id="data" type="application/json">(.*?)</script>', html, re.DOTALL
    )
    assert "<" not in text
    assert "\u2028" not in text
    assert json.loads(text)["classes"] == list(HOSTILE)
    assert html.count("<script") == 2
    assert "<script>document.title" not in html
    assert "{{ 7 * 7 }}" in html


def test_names_that_are_no_unicode_can_be_written():
    table = answers(25, 2, names=("caf\udce9", "b"))
    assert r"caf\udce9" in page(table).encode("utf-8", "backslashreplace").decode()


def test_a_page_is_known_again(tmp_path):
    (tmp_path / "ours.html").write_text(page(answers(9)), encoding="utf-8")
    (tmp_path / "theirs.html").write_text(
        "<!doctype html><title>tl_toolkit</title>", encoding="utf-8"
    )
    assert is_page_of_ours(tmp_path / "ours.html")
    assert not is_page_of_ours(tmp_path / "theirs.html")


def test_other_pages_can_be_made_of_the_same_shell():
    html = render_page("page.html.j2", "A <title>", {"a": 1})
    assert "<title>A &lt;title&gt;</title>" in html


def test_figures_are_read_as_people_read_them():
    assert percent(0.98765) == "98.8%"
    assert percent(None) == "–"
    assert points(-0.015) == "−1.5"

"""What an audit found, however it is written down."""

import json

import pytest

from tl_toolkit.errors import InputError
from tl_toolkit.report.page.audit_section import MOST_LISTED, read_audit


def audit(folder, values):
    path = folder / "audit.json"
    path.write_text(json.dumps(values), encoding="utf-8")
    return read_audit(path)


@pytest.mark.parametrize(
    "findings",
    [
        [
            {"file": "a.jpg", "finding": "blank", "figure": 0.5},
            {"file": "b.jpg", "finding": "blank", "figure": 2},
            {"file": "c.jpg", "finding": "copy", "figure": "of d.jpg"},
        ],
        [["a.jpg", "blank", 0.5], ["b.jpg", "blank", 2], ["c.jpg", "copy", "of d.jpg"]],
        {
            "blank": [{"path": "a.jpg", "score": 0.5}, {"path": "b.jpg", "value": 2}],
            "copy": [{"image": "c.jpg", "detail": "of d.jpg"}],
        },
    ],
)
def test_findings_are_counted_and_listed(tmp_path, findings):
    section = audit(tmp_path, {"data": "folder:x", "findings": findings})
    assert section.counts == (("blank", 2), ("copy", 1))
    assert section.rows == (
        ("a.jpg", "blank", "0.5"),
        ("b.jpg", "blank", "2"),
        ("c.jpg", "copy", "of d.jpg"),
    )
    assert section.left_out == 0


def test_of_many_findings_some_are_listed_and_all_are_counted(tmp_path):
    found = [{"file": f"{n}.jpg", "finding": "dark", "figure": n} for n in range(MOST_LISTED + 7)]
    section = audit(tmp_path, {"findings": found, "counts": {"dark": 1000, "bright": 0}})
    assert section.counts == (("dark", 1000),)
    assert len(section.rows) == MOST_LISTED
    assert section.left_out == 1000 - MOST_LISTED


def test_what_the_audit_command_writes_is_understood(tmp_path):
    section = audit(
        tmp_path,
        {
            "kind": "audit",
            "findings": {
                "damaged": [{"path": "a.jpg", "reason": "cut short", "figure": None}],
                "dark": [
                    {"path": f"{n}.jpg", "reason": "dark", "figure": 0.25} for n in range(500)
                ],
                "doubtful label": [{"path": "b.jpg", "reason": "cat, rather dog", "figure": -0.5}],
            },
            "across splits": [["train/a.jpg", "test/b.jpg"]],
            "checksum": "1",
        },
    )
    assert section.counts[0] == ("dark", 500)
    assert ("a.jpg", "damaged", "cut short") in section.rows
    assert ("b.jpg", "doubtful label", "cat, rather dog, -0.5") in section.rows
    assert ("train/a.jpg · test/b.jpg", "across splits", "") in section.rows
    assert section.rows[0] == ("0.jpg", "dark", "0.25")
    assert section.left_out == 503 - MOST_LISTED


def test_pairs_of_files_are_one_finding(tmp_path):
    section = audit(tmp_path, {"findings": {"copies": [["a.jpg", "b.jpg"]], "gone": ["c.jpg"]}})
    assert section.rows == (("a.jpg · b.jpg", "copies", ""), ("c.jpg", "gone", ""))


def test_an_audit_without_findings_says_so(tmp_path):
    assert audit(tmp_path, {"findings": []}).counts == ()


@pytest.mark.parametrize("values", [{"a": 1}, 3, "text", {"findings": 7}])
def test_what_is_no_audit_is_refused(tmp_path, values):
    with pytest.raises(InputError, match="has no 'findings'"):
        audit(tmp_path, values)


def test_what_cannot_be_read_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.json' cannot be read"):
        read_audit(tmp_path / "none.json")
    (tmp_path / "half.json").write_text('{"findings": [')
    with pytest.raises(InputError, match=r"half\.json' cannot be read"):
        read_audit(tmp_path / "half.json")

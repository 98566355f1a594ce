"""The example of the document runs as it stands there."""

import pathlib
import re

import pytest

DOCUMENT = pathlib.Path(__file__).parents[2] / "docs" / "several_labels.md"


@pytest.mark.long
def test_the_example_runs(tmp_path, monkeypatch, capsys):
    (example,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(example, str(DOCUMENT), "exec"), {})
    figures, labels = capsys.readouterr().out.splitlines()
    average, threshold = map(float, figures.split())
    assert 0.5 < average <= 1
    assert 0 < threshold < 1
    assert set(eval(labels)) <= {"sun", "sea"}

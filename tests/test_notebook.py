"""The notebook that a first user runs from top to bottom."""

import ast
import pathlib

import nbclient
import nbformat
import pytest

import tl_toolkit as tl

NOTEBOOK = pathlib.Path(__file__).parent.parent / "recipes" / "first_run.ipynb"


@pytest.fixture
def notebook():
    return nbformat.read(NOTEBOOK, as_version=4)


def code_of(notebook):
    """The code cells but that which installs."""
    return [
        cell
        for cell in notebook.cells
        if cell.cell_type == "code" and "install" not in cell.metadata.get("tags", ())
    ]


def test_its_cells_parse_and_use_public_names_alone(notebook):
    used = set()
    for cell in code_of(notebook):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.Attribute):
                assert not node.attr.startswith("_")
                if isinstance(node.value, ast.Name) and node.value.id == "tl":
                    used.add(node.attr)
            if isinstance(node, ast.ImportFrom):
                assert not node.module.startswith("tl_toolkit")
    assert used <= set(tl.__all__)
    assert {"Recipe", "run", "load_classifier", "export_run"} <= used


def test_it_is_kept_without_outputs(notebook):
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
    (install,) = [
        cell
        for cell in notebook.cells
        if cell.cell_type == "code" and "install" in cell.metadata.get("tags", ())
    ]
    assert install.source.startswith("%pip install")


@pytest.mark.long
def test_it_runs_from_top_to_bottom(notebook, tmp_path):
    notebook.cells = [cell for cell in notebook.cells if cell in code_of(notebook)]
    nbclient.NotebookClient(
        notebook, timeout=280, resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    printed = "".join(output.get("text", "") for cell in notebook.cells for output in cell.outputs)
    assert "of 359 test images are right" in printed
    assert "exports/model.onnx: " in printed
    shown = [output.data for cell in notebook.cells for output in cell.outputs if "data" in output]
    assert any("tl-toolkit" in data.get("text/html", "") for data in shown)
    assert any("image/png" in data for data in shown)
    assert (tmp_path / "first_run" / "report.html").is_file()

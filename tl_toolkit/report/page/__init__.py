"""The page of a run, a comparison, a search or several runs: one HTML file that needs nothing else.

`shell.py` makes a page of a template, the styles and the script beside it; whoever makes another page of photos begins
there, with `thumbnails.py` and the templates under `parts/`. Charts are SVG, drawn by a file a kind: each takes some
dozens of lines, where a chart library would be several hundred kilobytes in every page and a canvas that neither prints
nor follows the page's colours.
"""

"""What a run has to show: figures, plots, and a page to read."""

"""A local page to try a classifier with. It needs the extra `try`."""

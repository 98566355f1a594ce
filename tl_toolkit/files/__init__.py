"""Files of the toolkit's own: the user's cache folder, and writing a file whole or not at all."""

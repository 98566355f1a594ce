"""From a weight source's name to the variables of a model."""

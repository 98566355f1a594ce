"""keras-tuner over recipes: one frozen pass for all trials, and a recipe to run at the end."""

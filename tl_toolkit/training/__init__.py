"""The step loop: one training run, from any checkpoint to its end."""

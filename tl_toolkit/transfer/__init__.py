"""What makes training a transfer: which variable moves, and numbers by strategy and data size."""

"""From a trained model to one that serves, and back."""

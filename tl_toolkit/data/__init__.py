"""From a data URI to batches: sources, splits, decoding, augmentation and the input pipeline."""

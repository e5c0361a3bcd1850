"""Annotated photographs for training and evaluation: reading, augmenting, batching."""

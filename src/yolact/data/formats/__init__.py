"""Formats of annotations: one file each, which reads it into `labeled.LabeledData`, or writes it from there."""

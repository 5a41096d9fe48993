"""Rows of public data sets, each in its own shape, read as golds of our verifiers. The table of shapes: `formats.py`.

Knows columns and values; no files, no recipes, no answers of models, and no data set by the name of its file.
"""

"""Measurements of this package: run one with `python -m benchmarks.NAME` in the checkout."""

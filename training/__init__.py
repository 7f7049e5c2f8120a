"""Drawn video to train on and to measure with; not part of the package that is installed."""

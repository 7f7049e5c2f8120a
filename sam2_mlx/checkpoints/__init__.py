"""Checkpoints: read any published format, convert it once, load it by name or path."""

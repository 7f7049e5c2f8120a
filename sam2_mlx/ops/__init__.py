"""Arithmetic without weights."""

"""Custom Metal kernels, the switch that turns them off, and the check each passes first.

A kernel is used where MLX runs on an Apple GPU; everywhere else, and whenever the kernel cannot
be trusted, its twin in plain MLX computes the same.
"""

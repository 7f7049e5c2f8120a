"""The module paths of Meta's `sam2`: `sam2_mlx` finds these files under its own name too.

They only pass on what lives elsewhere, so that `sam2` becomes `sam2_mlx` in a program's imports and
nothing else changes: `from sam2_mlx.build_sam import build_sam2`.
"""

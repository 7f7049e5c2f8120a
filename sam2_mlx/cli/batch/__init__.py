"""`sam2-mlx batch`: many clips, each exactly once."""

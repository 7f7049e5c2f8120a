"""What `sam2-mlx bench` measures, counts and compares."""

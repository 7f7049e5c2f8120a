"""What `sam2-mlx bench` measures."""

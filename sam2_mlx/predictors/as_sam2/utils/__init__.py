"""sam2.utils: helpers for masks."""

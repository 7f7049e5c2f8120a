"""All state of a video."""

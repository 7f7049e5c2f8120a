"""Following objects in a live picture: capture, controls, drawing, recording."""

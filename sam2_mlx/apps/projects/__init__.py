"""What people make of a clip: what they pointed at, and all that belongs to it, in a folder."""

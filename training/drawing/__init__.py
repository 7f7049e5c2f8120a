"""Procedural video: shapes, textures, motion and the scenes made of them."""

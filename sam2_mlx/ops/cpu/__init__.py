"""How MLX's CPU backend computes fast; one who reads the network can leave this folder out.

Each form gives what the plain one in the module of the same name above gives, which chooses.
"""

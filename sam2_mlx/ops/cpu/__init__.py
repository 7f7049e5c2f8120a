"""How a CPU computes."""

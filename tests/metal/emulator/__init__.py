"""Runs the very source that MLX would hand to Metal, on a CPU, and checks how it behaves.

MLX builds the text of a custom kernel before it asks for a GPU, so `mx.export_function` shows it
on any machine. Here g++ compiles that text against a small shim, binds the buffers as MLX does,
and runs the whole grid twice: in another order, with other poison in everything unwritten, and
with the guard pages on the other side. Results that differ mean a race, an unwritten output or
an uninitialised read; accesses outside a buffer fault; UBSan watches alignment and overflow.

It cannot see what only Apple's compiler or a GPU shows: its diagnostics, register pressure,
speed, contracted multiply-adds, or the last bits of exp.
"""

from .emulated import Emulated as Emulated
from .emulated import EmulationError as EmulationError
from .program import compiler_obstacle as compiler_obstacle

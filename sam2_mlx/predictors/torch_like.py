"""What programs written for torch ask of models and results, answered without torch.

Memory is the host's, which CPU and GPU share: moving something gives the thing itself.
"""

from __future__ import annotations

import sys
from numbers import Integral
from typing import Any

import mlx.core as mx
import numpy as np

from sam2_mlx.model.sam import Sam
from sam2_mlx.ops.dtypes import host_array, resolve_dtype


class Device(str):
    """Where a program should put its own tensors."""

    @property
    def type(self) -> str:
        """The kind of device."""
        return str(self)


HOST = Device("cpu")


def as_array(values: Any) -> Any:
    """NumPy's array of one of MLX or a tensor of torch, of any type and device; else `values`."""
    if isinstance(values, mx.array):
        return host_array(values)
    if type(values).__module__.partition(".")[0] != "torch":
        return values
    values = values.detach().cpu()
    return np.asarray(values.float() if str(values.dtype) == "torch.bfloat16" else values)


def _type_name(*values: Any) -> str | None:
    """The name of the first type among them, of torch or NumPy, or of an array's; or None."""
    for value in values:
        kind = value if isinstance(value, type) else getattr(value, "dtype", value)
        if isinstance(kind, (np.dtype, type)):
            return np.dtype(kind).name
        if str(kind).startswith("torch."):
            return str(kind).removeprefix("torch.")
    return None


class _Size(int):
    """The number of elements, as NumPy has it; called, the shape, as torch has it."""

    shape: tuple[int, ...]

    def __call__(self, dim: int | None = None) -> Any:
        return self.shape if dim is None else self.shape[dim]


def _cast(kind: str) -> Any:
    def cast(array: TorchLike) -> Any:
        return array.astype(kind, copy=False)

    cast.__doc__ = f"The same numbers as {kind}."
    return cast


def _reduction(name: str) -> Any:
    plain = getattr(np.ndarray, name)

    def reduce(array: TorchLike, *args: Any, **kwargs: Any) -> Any:
        for theirs, ours in (("dim", "axis"), ("keepdim", "keepdims")):
            if theirs in kwargs:
                kwargs[ours] = kwargs.pop(theirs)
        return plain(array, *args, **kwargs)

    reduce.__doc__ = f"NumPy's {name}; torch's names of the arguments will do too."
    return reduce


class TorchLike(np.ndarray):
    """An array that has the methods of a torch tensor as well, and so have all made from it.

    Where torch is installed, its functions take it. A method that both have under one name is
    NumPy's: `max(0)` gives values without indices, `nonzero()` a tuple.
    """

    @classmethod
    def of(cls, values: mx.array) -> Any:
        """Computed now, on this thread; the memory is that of `values`."""
        exact = values.astype(mx.float32) if values.dtype == mx.bfloat16 else values
        return np.asarray(exact).view(cls)

    @classmethod
    def __torch_function__(
        cls, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        torch = sys.modules["torch"]

        def tensors(value: Any) -> Any:
            if isinstance(value, TorchLike):
                return torch.from_numpy(value.numpy())
            if isinstance(value, (list, tuple)):
                return type(value)(map(tensors, value))
            return value

        named = {name: tensors(value) for name, value in (kwargs or {}).items()}
        return function(*tensors(tuple(args)), **named)

    @property
    def device(self) -> Device:  # type: ignore[override]
        """The host."""
        return HOST

    @property
    def size(self) -> _Size:
        """The number of elements; called, the shape."""
        count = _Size(super().size)
        count.shape = self.shape
        return count

    def numpy(self, *, force: Any = False) -> np.ndarray:
        """A plain array of the same memory."""
        return super().view(np.ndarray)

    def cpu(self, *_: Any, **__: Any) -> Any:
        """The array itself."""
        return self

    cuda = detach = contiguous = cpu

    def to(self, *args: Any, dtype: Any = None, copy: Any = False, **_: Any) -> Any:
        """The array as another type; for another device, the array itself."""
        kind = _type_name(dtype, *args) or self.dtype
        # NumPy has no bfloat16.
        return self.astype("float32" if kind == "bfloat16" else kind, copy=copy)

    type = to

    def clone(self) -> Any:
        """A copy."""
        return self.copy()

    def dim(self) -> Any:
        """The number of axes."""
        return self.ndim

    def numel(self) -> Any:
        """The number of elements."""
        return self.size + 0

    def squeeze(self, dim: Any = None, axis: Any = None) -> Any:  # type: ignore[override]
        """Without axes of length one; one that is longer stays where it is named as `dim`."""
        if dim is None:
            return super().squeeze(axis)
        axes = (dim,) if isinstance(dim, Integral) else tuple(dim)
        return super().squeeze(tuple(one for one in axes if self.shape[one] == 1))

    def unsqueeze(self, dim: Any) -> Any:
        """With one more axis."""
        return np.expand_dims(self, dim)

    def permute(self, *dims: Any) -> Any:
        """With the axes in another order."""
        return self.transpose(*dims)

    def view(self, *args: Any, **kwargs: Any) -> Any:
        """Of a type or class, NumPy's view; of numbers, torch's: another shape."""
        if args and isinstance(args[0], (Integral, tuple, list)):
            return self.reshape(*args)
        return super().view(*args, **kwargs)

    def sigmoid(self) -> Any:
        """Logits as probabilities."""
        return 1 / (1 + np.exp(-self))

    any, all, sum, mean = map(_reduction, ("any", "all", "sum", "mean"))
    argmax, argmin, amax, amin = map(_reduction, ("argmax", "argmin", "max", "min"))
    half, float, double, byte = map(_cast, ("float16", "float32", "float64", "uint8"))
    short, int, long, bool = map(_cast, ("int16", "int32", "int64", "bool"))


class TorchModule:
    """What programs ask of a torch module; of a model itself, or of what has one as `model`."""

    @property
    def _network(self) -> Any:
        return getattr(self, "model", self)

    @property
    def device(self) -> Device:
        """The host: where results are."""
        return HOST

    @property
    def image_size(self) -> int:
        """Side of the model's input in pixels."""
        side: int = self._network.config.image_size
        return side

    def to(self, *args: Any, dtype: Any = None, **_: Any) -> Any:
        """The same with weights of another type; for another device, itself."""
        kind = _type_name(dtype, *args)
        return self if kind is None else self._cast(kind)

    def cpu(self, *_: Any) -> Any:
        """Itself."""
        return self

    cuda = cpu

    def _cast(self, kind: str) -> Any:
        self._network.set_dtype(resolve_dtype(kind))
        return self

    def half(self) -> Any:
        """The same with weights in float16."""
        return self._cast("float16")

    def float(self) -> Any:
        """The same with weights in float32."""
        return self._cast("float32")

    def bfloat16(self) -> Any:
        """The same with weights in bfloat16."""
        return self._cast("bfloat16")


class SAM2Base(TorchModule, Sam):
    """A model with torch's words, as `build_sam2` gives it."""

    @classmethod
    def of(cls, model: Sam) -> SAM2Base:
        """The same model; nothing is copied."""
        # It adds no state, only methods.
        model.__class__ = cls
        assert isinstance(model, cls)
        return model

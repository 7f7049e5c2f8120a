"""Small files that would cost much time or memory if they were believed."""

from __future__ import annotations

import json
import random
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

from tests.checkpoints.torch_files import Raw, call, named, pickled

_RECORD = named("torch._utils", "_rebuild_tensor_v2").code
_DICT = named("collections", "OrderedDict").code
_SIZE = named("torch", "Size").code
_MERSENNE = 2**61 - 1


def _storage(count: int) -> bytes:
    return pickled(("storage", named("torch", "FloatStorage"), "0", "cpu", count)) + b"Q"


def _tensor(shape: tuple[int, ...] = (4,)) -> bytes:
    stride = tuple(0 for _ in shape)
    return call("torch._utils", "_rebuild_tensor_v2", Raw(_storage(4)), 0, shape, stride).code


def _shared_key(size: int) -> bytes:
    """A key of tuples that share their parts: 2 ** size steps to hash it."""
    pairs = b"".join(
        b"r" + struct.pack("<I", i) + (b"j" + struct.pack("<I", i)) + b"\x86"
        for i in range(min(size, 100_000))
    )
    return b"}" + b")" + pairs + b"Ns"


def _colliding_keys(size: int) -> bytes:
    numbers = (((i + 1) * _MERSENNE).to_bytes(16, "little") for i in range(min(size, 400_000)))
    return b"}(" + b"".join(b"\x8a\x10" + number + b"N" for number in numbers) + b"u"


def _copies(size: int, make: bytes, what: bytes) -> bytes:
    return what + b"q\x00(" + make + b"q\x01" + b"h\x01h\x00\x85R" * min(size, 1_000_000) + b"t"


PICKLES: dict[str, Callable[[int], bytes]] = {
    "shared key": _shared_key,
    "deep key": lambda n: b"}" + b")" + b"\x85" * n + b"Ns",
    "deep list": lambda n: b"]" * n + b"a" * (n - 1),
    "deep dict": lambda n: b"}" + (pickled("m") + b"}") * n + b"s" * n,
    "deep tuple": lambda n: b")" + b"\x85" * n,
    "deep records": lambda n: _RECORD + b"q\x000" + b"h\x00(" * n + b"N" + b"NNNtR" * n,
    "deep objects": lambda n: named("a", "B").code + b"q\x000" + b"h\x00" * n + b")" + b"R" * n,
    "marks": lambda n: b"(" * n,
    "names": lambda n: named("torch", "float32").code * min(n, 500_000),
    "memo": lambda n: b"}\x94" * n,
    "strings": lambda n: b"\x8c\x02ab" * n,
    "colliding keys": _colliding_keys,
    "copies of a list": lambda n: _copies(n, _SIZE, b"](" + b"N" * min(n, 100_000) + b"e"),
    "copies of a tuple": lambda n: _copies(n, _SIZE, b"(" + b"K\x01" * min(n, 100_000) + b"t"),
    "copies of a dict": lambda n: _copies(
        n, _DICT, b"}(" + b"".join(b"J" + struct.pack("<i", i) + b"N" for i in range(5000)) + b"u"
    ),
    "many tensors": lambda n: (
        b"}(" + b"".join(pickled(f"{i}") + _tensor() for i in range(min(n, 50_000))) + b"u"
    ),
    "many dimensions": lambda n: b"}" + pickled("w") + _tensor((1,) * min(n, 100_000)) + b"s",
    "huge tensor": lambda n: b"}" + pickled("w") + _tensor((2**31 - 1,) * 3) + b"s",
    "huge name": lambda n: b"}" + pickled("n" * n) + _tensor() + b"s",
    "rows": lambda n: (
        b"}("
        + pickled("vision_encoder.backbone.patch_embed.projection.weight")
        + _tensor((0,))
        + pickled("prompt_encoder.point_embed.weight")
        + _tensor((2**31 - 1, 0))
        + b"u"
    ),
}
HEADERS: dict[str, Callable[[int], bytes]] = {
    "deep header": lambda n: b'{"a":' * n,
    "deep lists": lambda n: b"[" * n,
    "many entries": lambda n: json.dumps({str(i): {} for i in range(min(n, 200_000))}).encode(),
    "many values": lambda n: b'{"a":[' + b"{}," * n + b"0]}",
    "long shape": lambda n: json.dumps(
        {"w": {"dtype": "F32", "shape": [1] * n, "data_offsets": [0, 0]}}
    ).encode(),
    "empty rows": lambda n: json.dumps(
        {
            key: {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]}
            for key, shape in (
                ("vision_encoder.backbone.patch_embed.projection.weight", [0]),
                ("prompt_encoder.point_embed.weight", [2**33, 0]),
            )
        }
    ).encode(),
    "long number": lambda n: b'{"a":' + b"9" * n + b"}",
}
_NAMES = (*PICKLES, *HEADERS)
_SIZES = (1000, 10_000, 100_000, 1_000_000, 3_000_000)


def spoil_with_a_bomb(rng: random.Random, folder: Path) -> Path:
    """Write one of some size; none has more than 20 MB."""
    name, size = rng.choice(_NAMES), rng.choice(_SIZES)
    path = folder / "bomb"
    if name in HEADERS:
        text = HEADERS[name](size)
        path.write_bytes(struct.pack("<Q", len(text)) + text)
        return path
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", b"\x80\x02" + PICKLES[name](size) + b".")
        archive.writestr("a/data/0", bytes(16))
    return path

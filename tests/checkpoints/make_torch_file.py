"""Make data/from_torch.pt, the one file here that PyTorch itself wrote.

Run it in an environment with PyTorch (2.13 was used); the tests only read the result.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import torch


def main() -> None:
    """Write the file."""
    torch.manual_seed(0)
    ramp = (torch.arange(12) * 0.3125 - 2).reshape(3, 4)
    whole = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    module = torch.nn.Linear(3, 2)
    state = OrderedDict(module.state_dict())
    state._metadata = module.state_dict()._metadata  # type: ignore[attr-defined]
    state["float32"] = ramp
    state["float16"] = ramp.half()
    state["bfloat16"] = ramp.bfloat16()
    state["float64"] = ramp.double().flatten()
    state["int64"] = torch.arange(-3, 3)
    state["uint8"] = torch.arange(5, dtype=torch.uint8)
    state["bool"] = torch.tensor([True, False, True])
    state["scalar"] = torch.tensor(1.5)
    state["empty"] = torch.zeros(0, 4)
    state["whole"] = whole
    state["rows"] = whole[1:3]
    state["columns"] = whole[:, 1::2]
    state["transposed"] = whole.t()
    state["parameter"] = torch.nn.Parameter(torch.full((2, 2), 0.25))
    momentum = {"momentum": torch.ones(3)}
    torch.save(
        {
            "model": state,
            "optimizer": {"state": {0: momentum}, "param_groups": [{"lr": 1e-4, "params": [0]}]},
            "epoch": 3,
            "time_elapsed": 1.25,
            "shape": torch.Size([1, 2]),
            "dtype": torch.float32,
            "done": True,
            "note": None,
        },
        Path(__file__).parent / "data" / "from_torch.pt",
    )


if __name__ == "__main__":
    main()

"""Muon: what it makes of a gradient, and that a training with it can be stopped and resumed."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from training.optimizer import Muon, Optimizer, orthogonal  # noqa: E402


@pytest.mark.parametrize("shape", [(3, 8, 8), (2, 32, 5), (1, 4, 64), (2, 1, 6)])
def test_orthogonal_keeps_directions_and_levels_their_lengths(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(4)
    matrices = torch.randn(shape, generator=generator)
    found = orthogonal(matrices)
    assert found.shape == shape
    left, _, right = torch.linalg.svd(matrices, full_matrices=False)
    inner = left.mT @ found @ right.mT
    lengths = torch.diagonal(inner, dim1=-2, dim2=-1)
    # The iteration is made for speed: lengths end near one, not at it, but for tiny ones.
    assert float(lengths.median()) == pytest.approx(1.0, abs=0.35)
    assert float(lengths.max()) < 1.3
    assert float((inner - torch.diag_embed(lengths)).abs().max()) < 1e-3


def test_an_update_is_as_large_as_one_of_adamw() -> None:
    weight = torch.nn.Parameter(torch.zeros(16, 48))
    weight.grad = torch.randn(16, 48, generator=torch.Generator().manual_seed(1)) * 1e-4
    Muon([weight], lr=1e-2).step()
    assert float(weight.detach().square().mean().sqrt()) == pytest.approx(0.2e-2, rel=0.25)


def test_weights_decay_without_a_gradient_to_speak_of() -> None:
    weight = torch.nn.Parameter(torch.eye(4))
    weight.grad = torch.zeros(4, 4)
    Muon([weight], lr=0.1, weight_decay=0.5).step()
    assert torch.allclose(weight.detach(), 0.95 * torch.eye(4))


def test_every_parameter_has_one_optimiser() -> None:
    """Matrices go to Muon, embeddings, tokens, norms, biases and convolutions do not."""
    net = network()
    for muon in (False, True):
        optimizer = Optimizer([net], 1e-3, muon)
        owned = [p for part in optimizer._parts for g in part.param_groups for p in g["params"]]
        assert sorted(map(id, owned)) == sorted(map(id, net.parameters()))
    matrices = optimizer._parts[1].param_groups[0]["params"]
    assert {id(matrix) for matrix in matrices} == {id(net.linear.weight)}


@pytest.mark.parametrize("muon", [False, True])
def test_a_resumed_run_goes_the_same_way(muon: bool) -> None:
    whole, first = network(), network()
    optimizer = Optimizer([whole], 1e-3, muon)
    steps(whole, optimizer, range(6))
    half = Optimizer([first], 1e-3, muon)
    steps(first, half, range(3))
    again = network()
    again.load_state_dict(first.state_dict())
    resumed = Optimizer([again], 1e-3, muon)
    resumed.load_state_dict(half.state_dict())
    steps(again, resumed, range(3, 6))
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


def test_muon_learns_a_map_whose_inputs_differ_in_size() -> None:
    generator = torch.Generator().manual_seed(2)
    goal = torch.randn(12, 12, generator=generator) * 0.1
    inputs = torch.randn(256, 12, generator=generator) * torch.logspace(0, -2, 12)
    net = torch.nn.Linear(12, 12, bias=False)
    torch.nn.init.zeros_(net.weight)
    optimizer = Optimizer([net], 0.0, muon=True)
    losses = []
    for step in range(200):
        loss = (net(inputs) - inputs @ goal.T).square().mean()
        losses.append(float(loss.detach()))
        optimizer.clear()
        loss.backward()
        optimizer.step(2e-2 * (1 - step / 200))
    assert losses[-1] < 1e-3 * losses[0]


def network() -> torch.nn.Module:
    """A few parameters of every kind."""
    torch.manual_seed(3)
    net = torch.nn.Module()
    net.linear = torch.nn.Linear(6, 4)
    net.norm = torch.nn.LayerNorm(4)
    net.conv = torch.nn.Conv2d(1, 2, 3)
    net.pos_embed = torch.nn.Parameter(torch.randn(5, 4))
    net.mask_token = torch.nn.Parameter(torch.randn(1, 4))
    return net


def steps(net: torch.nn.Module, optimizer: Optimizer, numbers: range) -> None:
    """Some steps, each with its own input."""
    for number in numbers:
        generator = torch.Generator().manual_seed(number)
        out = net.norm(net.linear(torch.randn(7, 6, generator=generator)))
        extra = net.conv(torch.randn(1, 1, 5, 5, generator=generator))
        loss = (out + net.pos_embed[:1] + net.mask_token).square().mean() + extra.square().mean()
        optimizer.clear()
        loss.backward()
        optimizer.step(1e-3)

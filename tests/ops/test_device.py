"""Where a model runs: what the words mean, and that everything of a model runs there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from sam2_mlx import load
from sam2_mlx.__main__ import main
from sam2_mlx.ops import device as module
from sam2_mlx.ops.device import on_cpu, on_gpu, resolve_device
from sam2_mlx.predictors.build_sam import build_sam2, build_sam2_video_predictor
from sam2_mlx.predictors.image_predictor import SAM2ImagePredictor
from sam2_mlx.predictors.mask_generator import SAM2AutomaticMaskGenerator
from sam2_mlx.tracking.session import TrackingSession
from tests.tiny import ToyClip, tiny_model


class TorchDevice:
    """Looks like torch's."""

    def __str__(self) -> str:
        return "cuda:0"


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A machine whose default is a GPU, as far as asking goes; and every device entered."""
    current, entered = [mx.Device(mx.gpu)], []

    @contextmanager
    def stream(kind: Any) -> Iterator[None]:
        entered.append(kind)
        current.append(mx.Device(kind))
        yield
        current.pop()

    monkeypatch.setattr(mx, "default_device", lambda: current[-1])
    monkeypatch.setattr(mx, "stream", stream)
    monkeypatch.setattr(mx, "is_available", lambda kind: True)
    return entered


@pytest.mark.parametrize("word", ["gpu", "mps", "cuda", "cuda:1", "MPS", TorchDevice()])
def test_words_for_a_gpu(word: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mx, "is_available", lambda kind: True)
    assert resolve_device(word) == ("gpu", None)
    monkeypatch.setattr(mx, "is_available", lambda kind: False)
    home, note = resolve_device(word)
    assert home == "cpu" and "no GPU" in str(note) and "\n" not in str(note)


def test_other_words() -> None:
    assert resolve_device(None) == resolve_device("auto") == (None, None)
    assert resolve_device("cpu") == resolve_device("cpu:0") == ("cpu", None)
    with pytest.raises(ValueError, match="auto, gpu or cpu .* got 'tpu'"):
        resolve_device("tpu")
    with pytest.raises(ValueError, match="got 'tpu'"):
        load("nano", device="tpu")


def test_the_type_of_the_weights_follows(gpu: list[Any]) -> None:
    assert load("nano", device="cpu").dtype == mx.float32
    assert load("nano", device="mps").dtype == mx.float16
    assert load("nano").dtype == mx.float16
    assert load("nano", device="cpu", dtype="bfloat16").dtype == mx.bfloat16
    assert on_gpu() and not on_cpu()


def test_builders_pass_it_on(gpu: list[Any]) -> None:
    assert build_sam2(None, "nano", device="cpu").home == "cpu"
    assert build_sam2_video_predictor(None, "nano", TorchDevice()).model.home == "gpu"
    assert SAM2ImagePredictor.from_pretrained("nano", device="cpu").model.home == "cpu"
    assert SAM2AutomaticMaskGenerator.from_pretrained("nano", device="cpu").model.home == "cpu"
    assert load("nano").home is None


def test_a_gpu_that_is_not_there_is_one_line() -> None:
    if mx.is_available(mx.gpu):
        pytest.skip("there is one")
    with pytest.warns(UserWarning, match="device mps is the CPU"):
        assert load("nano", device="mps").home == "cpu"


def test_a_command_says_it_too(capsys: pytest.CaptureFixture[str]) -> None:
    if mx.is_available(mx.gpu):
        pytest.skip("there is one")
    assert main(["info", "--device", "cuda"]) == 0
    said = capsys.readouterr()
    assert said.err == "sam2-mlx: note: MLX has no GPU here, so device cuda is the CPU\n"
    assert main(["info", "--device", "cpu"]) == 0
    assert capsys.readouterr().err == ""


def test_everything_of_a_model_runs_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    model, clip = tiny_model(), ToyClip(3)
    mx.eval(model.parameters())
    model.home = "cpu"
    depth = [0]
    plain = module.running_on

    @contextmanager
    def counted(home: str | None) -> Iterator[None]:
        assert home == "cpu"
        depth[0] += 1
        with plain(home):
            yield
        depth[0] -= 1

    def inside(function: Any) -> Any:
        def checked(*args: Any, **kwargs: Any) -> Any:
            assert depth[0] > 0, function
            return function(*args, **kwargs)

        return checked

    monkeypatch.setattr(module, "running_on", counted)
    for name in ("encode_image", "decode_masks", "embed_points", "track_candidates", "remember"):
        monkeypatch.setattr(model, name, inside(getattr(model, name)))
    image = SAM2ImagePredictor(model)
    image.set_image(clip.read(0))
    image.predict([[20, 30]], [1])
    image.set_image_batch([clip.read(0), clip.read(1)])
    image.predict_batch([[[20, 30]]] * 2, [[1]] * 2)
    SAM2AutomaticMaskGenerator(model, points_per_side=2).generate(clip.read(0))
    session = TrackingSession(model)
    session.step(clip.read(0))
    session.prompt(1, points=[[20, 30]], labels=[1])
    session.step(clip.read(1))
    session.commit()
    whole = TrackingSession(model, clip, memory="full")
    whole.prompt(1, points=[[20, 30]], labels=[1])
    for _ in whole.propagate():
        # What the caller does between two frames is the caller's.
        assert depth[0] == 0
    assert depth[0] == 0


def test_two_models_on_two_devices(gpu: list[Any]) -> None:
    one, other = load("nano", device="cpu"), load("nano", device="cpu")
    other.home = "gpu"
    picture = np.zeros((64, 64, 3), np.uint8)
    gpu.clear()
    homes = []
    for model in (one, other, one):

        def encode(pixels: mx.array) -> Any:
            homes.append("cpu" if on_cpu() else "gpu")
            raise LookupError

        model.encode_image = encode
        with pytest.raises(LookupError):
            SAM2ImagePredictor(model).set_image(picture)
    assert homes == ["cpu", "gpu", "cpu"]

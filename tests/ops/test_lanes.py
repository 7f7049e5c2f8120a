"""Work that is spread over cores gives what it gives on one."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator

import mlx.core as mx
import numpy as np
import pytest

from sam2_mlx.ops.cpu import lanes
from sam2_mlx.ops.device import running_on
from tests.spread import spread_over


@pytest.fixture(autouse=True)
def _on_a_cpu() -> Iterator[None]:
    # A GPU has no lanes.
    with running_on("cpu"):
        yield


@pytest.fixture
def three_lanes(monkeypatch: pytest.MonkeyPatch) -> None:
    spread_over(monkeypatch, 3)


@pytest.mark.usefixtures("three_lanes")
@pytest.mark.parametrize("length", [1, 2, 3, 7, 64])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_spread_is_the_function(length: int, axis: int) -> None:
    shape = [2, 3, 4]
    shape[axis] = length
    x = mx.random.normal(shape)
    seen = []

    def double(a: mx.array, b: mx.array) -> mx.array:
        seen.append(a.shape[axis])
        # Nothing is spread twice.
        assert lanes.lane_count() == (1 if length > 1 else 3)
        return a * 2 + b

    got = lanes.spread(double, x, x + 1, axis=axis)
    np.testing.assert_array_equal(np.array(got), np.array(x * 2 + (x + 1)))
    if length > 1:
        assert sum(seen) == length and len(seen) == (length // 3 * 3 or length)
    assert lanes.lane_count() == 3


@pytest.mark.usefixtures("three_lanes")
@pytest.mark.parametrize("groups", [1, 2, 3, 7, 20])
@pytest.mark.parametrize("limit", [2, 12, 2**20])
def test_groups_are_the_function(monkeypatch: pytest.MonkeyPatch, groups: int, limit: int) -> None:
    monkeypatch.setattr(lanes, "_GROUP_VALUES", limit)
    x = mx.random.normal((groups * 4, 3))
    seen = []

    def within(a: mx.array, b: mx.array) -> tuple[mx.array, mx.array, mx.array]:
        assert len(a) % 4 == 0
        seen.append(len(a))
        four = (a + b).reshape(-1, 4, 3)
        return (four - four.sum(1, keepdims=True)).reshape(-1, 3), four.max(1), a

    got = lanes.spread_groups(within, (x, 2 * x), (4, 4))
    assert sum(seen) == len(x)
    assert groups < 3 or len(seen) >= 3
    for one, whole in zip(got, within(x, 2 * x), strict=True):
        np.testing.assert_array_equal(np.array(one), np.array(whole))


@pytest.mark.usefixtures("three_lanes")
@pytest.mark.parametrize("batch", [1, 2, 3, 4, 6, 8])
def test_members_are_the_batch(monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    monkeypatch.setattr(lanes, "_GROUP_VALUES", 10)
    shared, own = mx.random.normal((5, 2)), mx.random.normal((batch * 5, 2))
    memory = mx.random.normal((batch, 7, 2))
    sizes = []

    def attend(shared: mx.array, own: mx.array, memory: mx.array) -> mx.array:
        sizes.append(len(memory))
        each = own.reshape(-1, 5, 2) + shared
        return (each @ memory.transpose(0, 2, 1) @ memory).reshape(-1, 2)

    got = lanes.spread_groups(attend, (shared, own, memory), (5, 5, 1))
    np.testing.assert_allclose(
        np.array(got), np.array(attend(shared, own, memory)), rtol=1e-5, atol=1e-5
    )
    assert sizes[:-1] == ([1] * (batch // 3 * 3) + [batch % 3] * (batch % 3 > 0) or [batch])


@pytest.mark.usefixtures("three_lanes")
def test_a_lane_takes_one_object_at_a_time() -> None:
    # As large as those of the published models are in a picture of 256 pixels.
    sizes = []

    def attend(x: mx.array, memory: mx.array) -> mx.array:
        sizes.append(len(memory))
        return x

    lanes.spread_groups(attend, (mx.zeros((6 * 256, 256)), mx.zeros((6, 7, 2))), (256, 1))
    assert sizes == [1] * 6


@pytest.mark.usefixtures("three_lanes")
def test_parts_go_to_different_streams() -> None:
    used = []
    for number in range(4):
        lanes.run_in_lane(number, lambda: used.append(str(mx.default_stream(mx.cpu))) or mx.ones(1))
    assert len(set(used[:3])) == 3 and used[3] == used[0]


@pytest.mark.usefixtures("three_lanes")
def test_an_error_leaves_no_lane_behind() -> None:
    before = str(mx.default_stream(mx.cpu))

    def fail(x: mx.array) -> mx.array:
        raise KeyError("no")

    with pytest.raises(KeyError):
        lanes.spread(fail, mx.zeros((4,)), axis=0)
    assert lanes.lane_count() == 3 and str(mx.default_stream(mx.cpu)) == before


@pytest.mark.usefixtures("three_lanes")
def test_another_thread_has_lanes_of_its_own() -> None:
    found = []

    def work() -> None:
        x = mx.arange(12)
        found.append(np.array(lanes.spread(lambda a: a + 1, x, axis=0)))

    for _ in range(3):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert len(found) == 3
    for result in found:
        np.testing.assert_array_equal(result, np.arange(1, 13))


def test_small_work_stays_where_it_is() -> None:
    calls = []
    lanes.spread(lambda x: calls.append(1) or x, mx.zeros((100,)), axis=0)
    assert calls == [1]


@pytest.mark.parametrize(
    ("environment", "want"),
    [
        ({"SAM2_MLX_LANES": "1"}, "1"),
        ({"SAM2_MLX_LANES": "5"}, "5"),
        ({"OPENBLAS_NUM_THREADS": "2"}, "1"),
        ({"SAM2_MLX_LANES": "x"}, "SAM2_MLX_LANES is a number of streams, 1 or more; got 'x'"),
        ({"SAM2_MLX_LANES": "0"}, "SAM2_MLX_LANES is a number of streams, 1 or more; got '0'"),
    ],
)
def test_how_many(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], want: str) -> None:
    for name in ("SAM2_MLX_LANES", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    program = (
        "import sam2_mlx, mlx.core as mx\n"
        "from sam2_mlx.ops.cpu.lanes import lane_count\n"
        "mx.set_default_device(mx.cpu)\n"
        "try:\n    print(lane_count())\nexcept ValueError as problem:\n    print(problem)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == want, done.stderr

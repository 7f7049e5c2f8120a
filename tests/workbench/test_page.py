"""The page in a real browser, on the bundled clip with the bundled model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import sam2_mlx
from sam2_mlx.media import demo_clip
from sam2_mlx.media.reader import open_frames
from tests.workbench.browser import Server, Workbench, browser

FISH, OTHER_FISH = (105.0, 118.0), (520.0, 196.0)
LAST = 6


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as one:
        yield one


@pytest.fixture(scope="module")
def address(chromium: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = Server(tmp_path_factory.mktemp("projects"), "demo", "--port", "0")
    yield server.address
    server.kill()


@pytest.fixture
def bench(chromium: Any, address: str) -> Iterator[Workbench]:
    context = chromium.new_context(viewport={"width": 1280, "height": 800})
    workbench = Workbench(context.new_page(), address)
    yield workbench
    assert not workbench.problems
    context.close()


@pytest.fixture(scope="module")
def session() -> Iterator[sam2_mlx.TrackingSession]:
    with open_frames(demo_clip()) as source:
        yield sam2_mlx.TrackingSession(sam2_mlx.load("nano"), source, memory="full")


def test_click_track_correct_and_undo(bench: Workbench, session: sam2_mlx.TrackingSession) -> None:
    bench.click(*FISH)
    clicked = session.prompt(1, points=[FISH], labels=[1], frame=0).masks[0]
    assert np.array_equal(bench.mask(1), clicked)

    bench.press("n")
    bench.click(*OTHER_FISH)
    session.prompt(2, points=[OTHER_FISH], labels=[1], frame=0)
    bench.show(LAST)
    bench.press("o", "Home", "t")
    followed = [shown.masks for shown in session.propagate(length=LAST)]
    for frame in (0, LAST - 1, LAST):
        for number in (1, 2):
            assert np.array_equal(bench.mask(number, frame), followed[frame][number - 1])

    # A correction changes the frames after it, and none before it.
    bench.show(3)
    bench.click(60, 118, subtract=True)
    corrected = session.prompt(2, points=[(60, 118)], labels=[0], frame=3).masks[1]
    assert np.array_equal(bench.mask(2), corrected)
    bench.press("t")
    again = [shown.masks for shown in session.propagate(3, LAST - 3)]
    assert np.array_equal(bench.mask(2, LAST), again[-1][1])
    assert np.array_equal(bench.mask(2, 2), followed[2][1])

    bench.press("Control+z", "Control+z")
    assert np.array_equal(bench.mask(2, 3), followed[3][1])
    assert np.array_equal(bench.mask(2, LAST), followed[LAST][1])
    bench.press("Control+y", "Control+y")
    assert np.array_equal(bench.mask(2, LAST), again[-1][1])


def test_all_can_be_undone(bench: Workbench) -> None:
    draft = "JSON.stringify([page.state.draft, page.masks.at(0).map((one) => one.area)])"
    steps = [bench.ask(draft)]

    def note() -> None:
        bench.rest()
        steps.append(bench.ask(draft))

    bench.click(*FISH)
    note()
    bench.page.fill("#name-1", "Clown")
    bench.page.press("#name-1", "Enter")
    note()
    for button in ("#eye-1", "#lock-1", "#lock-1"):
        bench.page.click(button)
        note()
    bench.page.locator("#colour-1").fill("#00ff00")
    note()
    bench.page.locator("#stage").focus()
    bench.press("ArrowRight", "i", "ArrowLeft")
    note()
    bench.drag((430, 110), (620, 290))
    note()
    bench.press("Backspace")
    note()
    bench.press("Delete")
    note()
    assert len(set(steps)) == len(steps) - 1  # unlocking is what was before locking
    for step in reversed(steps[:-1]):
        bench.press("Control+z")
        assert bench.ask(draft) == step
    for step in steps[1:]:
        bench.press("Control+y")
        assert bench.ask(draft) == step


def test_the_brush_paints_and_erases(bench: Workbench) -> None:
    bench.press("b")
    bench.drag((300, 60), (360, 60))
    painted = bench.mask(1)
    assert painted[60, 330] and not painted[200, 330]
    bench.press("e")
    bench.drag((330, 40), (330, 80))
    assert bench.ask("page.state.prompt.mask !== null")
    assert bench.mask(1).sum() < painted.sum()


def test_the_keyboard_is_enough(bench: Workbench) -> None:
    for _ in range(40):
        if bench.ask("document.activeElement.id") == "stage":
            break
        bench.page.keyboard.press("Tab")
    bench.press(*["Alt+ArrowLeft"] * 30, "Alt+ArrowUp", "Enter")
    x, y = bench.ask("page.state.prompt.points[0]")
    assert 0 < x < 320 and 0 < y < 180
    bench.press("r")
    assert bench.ask("page.masks.scores.isTracked(1)")
    assert bench.ask("page.state.frame") == 1
    bench.press("?")
    assert bench.page.locator("#keys-dialog").is_visible()


def test_mistakes_are_told_in_plain_words(bench: Workbench) -> None:
    bench.press("t")
    assert bench.notice() == "Click on something first; then it can be followed."
    bench.click(*FISH)
    bench.press("Shift+S")
    bench.click(*OTHER_FISH)
    assert bench.notice() == "Object 1 is locked. Unlock it, or choose another."
    bench.page.click("#open")
    bench.page.fill("#open-path", "/nowhere/clip.mp4")
    bench.page.press("#open-path", "Enter")
    bench.page.locator(".notice", has_text="/nowhere/clip.mp4").wait_for()


def test_cancelling_keeps_what_is_done(bench: Workbench) -> None:
    bench.click(*FISH)
    bench.page.keyboard.press("t")
    bench.wait("page.state.job?.done >= 3")
    bench.page.click("#cancel")
    bench.rest()
    done = bench.ask("page.masks.scores.track(1).iou.filter((iou) => !Number.isNaN(iou)).length")
    assert 3 <= done < 40


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(bench: Workbench, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="there is no axe")
    bench.page.emulate_media(color_scheme=scheme)
    bench.click(*FISH)
    for opened in (None, "#keys-dialog", "#open-dialog", "#model-dialog"):
        if opened:
            bench.page.evaluate(f"document.querySelector('{opened}').showModal()")
        results = axe.Axe().run(bench.page)
        assert results.violations_count == 0, results.generate_report()
        if opened:
            bench.page.evaluate(f"document.querySelector('{opened}').close()")

"""The page in a real browser, on the bundled clip with the bundled model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import sam2_mlx
from sam2_mlx.media import demo_clip
from sam2_mlx.media.reader import open_frames
from tests.workbench.browser import Desk, Server, browser, free_port

FISH, OTHER_FISH = (105.0, 118.0), (520.0, 196.0)
LAST = 6


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as one:
        yield one


@pytest.fixture(scope="module")
def server(chromium: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("projects"), "demo", "--port", "0") as one:
        yield one


@pytest.fixture
def desk(chromium: Any, server: Server) -> Iterator[Desk]:
    context = chromium.new_context(viewport={"width": 1280, "height": 800})
    one = Desk(context.new_page(), server.address)
    yield one
    assert not one.problems
    context.close()


@pytest.fixture(scope="module")
def session() -> Iterator[sam2_mlx.TrackingSession]:
    with open_frames(demo_clip()) as source:
        yield sam2_mlx.TrackingSession(sam2_mlx.load("nano"), source, memory="full")


def test_click_track_correct_and_undo(desk: Desk, session: sam2_mlx.TrackingSession) -> None:
    desk.click(*FISH)
    clicked = session.prompt(1, points=[FISH], labels=[1], frame=0).masks[0]
    assert np.array_equal(desk.mask(1), clicked)

    desk.press("n")
    desk.click(*OTHER_FISH)
    session.prompt(2, points=[OTHER_FISH], labels=[1], frame=0)
    desk.show(LAST)
    desk.press("o", "Home", "t")
    followed = [shown.masks for shown in session.propagate(length=LAST)]
    for frame in (0, LAST - 1, LAST):
        for number in (1, 2):
            assert np.array_equal(desk.mask(number, frame), followed[frame][number - 1])

    # A correction changes the frames after it, and none before it.
    desk.show(3)
    desk.click(60, 118, subtract=True)
    corrected = session.prompt(2, points=[(60, 118)], labels=[0], frame=3).masks[1]
    assert np.array_equal(desk.mask(2), corrected)
    desk.press("t")
    again = [shown.masks for shown in session.propagate(3, LAST - 3)]
    assert np.array_equal(desk.mask(2, LAST), again[-1][1])
    assert np.array_equal(desk.mask(2, 2), followed[2][1])

    desk.press("Control+z", "Control+z")
    assert np.array_equal(desk.mask(2, 3), followed[3][1])
    assert np.array_equal(desk.mask(2, LAST), followed[LAST][1])
    desk.press("Control+y", "Control+y")
    assert np.array_equal(desk.mask(2, LAST), again[-1][1])


def test_all_can_be_undone(desk: Desk) -> None:
    areas = "page.masks.at(0).map((one) => one.area).filter((area) => area)"
    draft = f"JSON.stringify([page.state.draft, {areas}])"
    steps = [desk.ask(draft)]

    def note() -> None:
        desk.rest()
        steps.append(desk.ask(draft))

    desk.click(*FISH)
    note()
    desk.page.fill("#name-1", "Clown")
    desk.page.press("#name-1", "Enter")
    note()
    for button in ("Show Clown", "Lock Clown", "Lock Clown"):
        desk.page.get_by_label(button).click()
        note()
    desk.page.locator("#colour-1").fill("#00ff00")
    note()
    desk.page.locator("#stage").focus()
    desk.press("ArrowRight", "i", "ArrowLeft")
    note()
    desk.drag((430, 110), (620, 290))
    note()
    desk.press("Backspace")
    note()
    desk.press("Delete")
    note()
    assert len(set(steps)) == len(steps) - 1  # unlocking is what was before locking
    for step in reversed(steps[:-1]):
        desk.press("Control+z")
        assert desk.ask(draft) == step
    for step in steps[1:]:
        desk.press("Control+y")
        assert desk.ask(draft) == step


def test_the_preview_is_of_where_the_pointer_rests(desk: Desk) -> None:
    desk.page.mouse.move(*desk.place(*FISH))
    desk.wait("page.tools.hover.asking")
    desk.page.mouse.move(*desk.place(*OTHER_FISH))
    desk.wait("!page.tools.hover.asking && page.tools.hover.mask?.box[0] > 320")
    desk.page.mouse.move(5, 400)
    desk.wait("page.tools.hover.mask === null")


def test_the_brush_paints_and_erases(desk: Desk) -> None:
    desk.press("b")
    desk.drag((300, 60), (360, 60))
    painted = desk.mask(1)
    assert painted[60, 330] and not painted[200, 330]
    desk.press("e")
    desk.drag((330, 40), (330, 80))
    assert desk.ask("page.state.prompt.mask !== null")
    assert desk.mask(1).sum() < painted.sum()


def test_some_of_everything_is_kept(desk: Desk) -> None:
    desk.ask("document.getElementById('points-per-side').value = 8")
    desk.press("a")
    desk.wait("page.state.found && !page.state.found.searching")
    desk.click(*FISH)
    desk.click(*OTHER_FISH)
    assert desk.ask("page.state.found.chosen.size") == 2
    desk.page.click("#keep")
    desk.rest()
    assert desk.mask(1)[118, 105] and desk.mask(2)[196, 520]
    desk.press("Control+z")
    assert desk.ask("page.state.draft.objects.length") == 0


def test_the_keyboard_is_enough(desk: Desk) -> None:
    for _ in range(40):
        if desk.ask("document.activeElement.id") == "stage":
            break
        desk.page.keyboard.press("Tab")
    desk.press(*["Alt+ArrowLeft"] * 30, "Alt+ArrowUp", "Enter")
    x, y = desk.ask("page.state.prompt.points[0]")
    assert 0 < x < 320 and 0 < y < 180
    desk.press("r")
    assert desk.ask("page.masks.scores.isTracked(1)")
    assert desk.ask("page.state.frame") == 1
    desk.press("?")
    assert desk.page.locator("#keys-dialog").is_visible()


def test_after_a_crash_it_goes_on(chromium: Any, tmp_path: Path) -> None:
    start = ("demo", "--port", str(free_port()))
    with Server(tmp_path, *start) as server:
        desk = Desk(chromium.new_page(), server.address)
        desk.click(*FISH)
        desk.press("r")
        tracked = desk.mask(1, 1)
        desk.page.fill("#name-1", "Clown")
        desk.page.press("#name-1", "Enter")
        desk.wait("page.projects.saved === page.projects.changes")
    desk.page.locator("#offline").wait_for()

    with Server(tmp_path, *start):
        desk.page.locator("#offline").wait_for(state="hidden")
        desk.wait("page.socket.isOpen && page.masks.frames.has(1)")
        assert np.array_equal(desk.mask(1, 1), tracked)
        assert desk.ask("page.state.active.name") == "Clown"
        desk.press("r")
        assert desk.ask("page.masks.scores.isTracked(2)")

        # A reload finds the same.
        desk.wait("page.projects.saved === page.projects.changes")
        desk.page.reload()
        desk.begin()
        assert desk.ask("page.state.active.name") == "Clown"
        assert np.array_equal(desk.mask(1, 1), tracked)
        assert not desk.problems
    desk.page.close()


def test_an_export_holds_what_is_seen(desk: Desk, server: Server) -> None:
    desk.click(*FISH)
    desk.press("r", "ArrowLeft", "n")
    desk.click(*OTHER_FISH)
    desk.page.get_by_label("Show Object 2").click()
    desk.show(1)
    desk.press("o", "Control+e")
    desk.page.select_option("#export-format", "masks")
    desk.page.click("#export-run")
    folder = Path(desk.page.locator("#exported code").inner_text())
    desk.page.click("#export-cancel")
    assert folder.is_relative_to(server.projects)
    files = sorted(folder.glob("*.png"))
    assert len(files) == 2
    # The hidden object is left out.
    assert np.array_equal(np.asarray(Image.open(files[1])) > 0, desk.mask(1, 1))

    desk.press("Control+e")
    desk.page.select_option("#export-format", "scores")
    desk.page.click("#export-run")
    with desk.page.expect_download() as download:
        desk.page.get_by_text("Save a copy").click()
    assert download.value.suggested_filename.endswith("_scores.jsonl")


def test_a_file_is_chosen_or_dropped(desk: Desk, server: Server) -> None:
    desk.press("Control+o")
    desk.page.get_by_text("demo.mp4", exact=True).last.wait_for()
    desk.page.set_input_files("#choose-file", demo_clip())
    desk.page.locator("#open-dialog").wait_for(state="hidden")
    desk.rest()
    assert Path(desk.ask("page.state.clip.path")).is_relative_to(server.projects / "uploads")
    assert desk.ask("page.state.clip.frames") == 120
    stats = "page.socket.request('stats').then(({ fields }) => fields.sessions.length)"
    assert desk.ask(stats) == 1


def test_mistakes_are_told_in_plain_words(desk: Desk) -> None:
    desk.press("t")
    assert desk.notice() == "Click on something first; then it can be followed."
    desk.click(*FISH)
    desk.press("Shift+S")
    desk.click(*OTHER_FISH)
    assert desk.notice() == "Object 1 is locked. Unlock it, or choose another."
    desk.page.click("#open")
    desk.page.fill("#open-path", "/nowhere/clip.mp4")
    desk.page.press("#open-path", "Enter")
    desk.page.locator(".notice", has_text="/nowhere/clip.mp4").wait_for()


def test_cancelling_keeps_what_is_done(desk: Desk) -> None:
    desk.click(*FISH)
    desk.page.keyboard.press("t")
    desk.wait("page.state.job?.done >= 3")
    desk.page.click("#cancel")
    desk.rest()
    done = desk.ask("page.masks.scores.track(1).iou.filter((iou) => !Number.isNaN(iou)).length")
    assert 3 <= done < 40


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(desk: Desk, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="there is no axe")
    desk.page.emulate_media(color_scheme=scheme)
    desk.click(*FISH)
    for opened in (None, "#keys-dialog", "#open-dialog", "#model-dialog"):
        if opened:
            desk.page.evaluate(f"document.querySelector('{opened}').showModal()")
        results = axe.Axe().run(desk.page)
        assert results.violations_count == 0, results.generate_report()
        if opened:
            desk.page.evaluate(f"document.querySelector('{opened}').close()")

"""The worker's methods over a WebSocket, and what a page that misbehaves cannot do."""

from __future__ import annotations

import asyncio
import io
import struct

import numpy as np
import pytest
from PIL import Image
from websockets.exceptions import ConnectionClosed

from sam2_mlx import TrackingSession
from sam2_mlx.apps.serving.messages import Message
from sam2_mlx.apps.workbench import channel
from sam2_mlx.apps.workbench.server import MAX_APPS
from sam2_mlx.media.reader import open_frames
from tests.serving.app import Refused
from tests.tiny import tiny_model
from tests.workbench.conftest import FRAMES, Workbench
from tests.workbench.page import Page

CLICK = {"points": [[20, 30]], "labels": [1]}


def test_a_clip_is_followed_as_by_the_session(bench: Workbench) -> None:
    with Page(bench.address) as page:
        facts, _ = page.call("hello", protocol=1)
        assert facts["model"]["name"] == "toy"
        session = page.call("open", path=str(bench.clip), memory="full")[0]["session"]
        page.call("prompt", session=session, object=1, prompt=CLICK, frame=0)
        events, result = page.job("propagate", session=session, job=3, credit=2)
    assert result == {"ended": "done", "frames": FRAMES}
    with open_frames(bench.clip) as source:
        own = TrackingSession(tiny_model(), source, memory="full")
        own.prompt(1, points=[[20, 30]], labels=[1], frame=0)
        for (event, blob), shown in zip(events, own.propagate(), strict=True):
            assert (page.masks(event, blob) == np.array(shown.masks)).all()


def test_a_mask_is_a_prompt(bench: Workbench) -> None:
    mask = np.zeros((64, 96), bool)
    mask[10:40, 20:60] = True
    with Page(bench.address) as page:
        session = page.call("open", path=str(bench.clip))[0]["session"]
        prompt = {"mask": {"width": 96, "height": 64}}
        blob = np.packbits(mask, axis=1).tobytes()
        answer = page.call("prompt", blob, session=session, object=1, prompt=prompt, frame=0)
        assert (page.masks(*answer)[0] == mask).mean() > 0.95


def test_frames_come_as_pictures_also_while_a_job_has_the_session(bench: Workbench) -> None:
    with open_frames(bench.clip) as source:
        image = source.read(5)
    with Page(bench.address) as page:
        session = page.call("open", path=str(bench.clip))[0]["session"]
        page.call("prompt", session=session, object=1, prompt=CLICK, frame=0)
        # It rests without credit, and keeps the session.
        page.post("propagate", session=session, job=1, credit=0)
        facts, data = page.call("frame", session=session, frame=5, format="webp", quality=100)
        assert (facts["width"], facts["height"]) == (96, 64)
        # Colours are kept at half the size, and these pixels are noise.
        grey = np.asarray(Image.open(io.BytesIO(data)).convert("L"), np.int16)
        assert np.abs(grey - np.asarray(Image.fromarray(image).convert("L"))).mean() < 8
        facts, data = page.call("frame", session=session, frame=5, max_width=48)
        assert Image.open(io.BytesIO(data)).size == (48, 32) == (facts["width"], facts["height"])
        with pytest.raises(Refused, match="bad_request: .* no frame 99"):
            page.call("frame", session=session, frame=99)
        with pytest.raises(Refused, match="no_session"):
            page.call("frame", session=77)


def test_bytes_that_are_no_message_end_only_their_page(bench: Workbench) -> None:
    with Page(bench.address) as good, Page(bench.address) as bad:
        bad.socket.send(struct.pack("<II", 5, 99) + b"{}")
        assert bad.read()[0]["error"]["code"] == "protocol"
        with pytest.raises(ConnectionClosed):
            bad.read()
        with Page(bench.address) as text:
            text.socket.send("no JSON")
            assert text.read()[0]["error"]["code"] == "bad_request"
            assert text.call("ping")[0]["jobs"] == 0
        with Page(bench.address) as long, pytest.raises(ConnectionClosed):
            long.socket.send(b"\0" * (channel.MAX_FRAME + 1))
            long.read()
        assert good.call("ping")[0] == {"waiting": 0, "jobs": 0}


class Deaf:
    """A WebSocket whose page takes nothing and says nothing."""

    async def send_bytes(self, data: bytes) -> None:
        await asyncio.Event().wait()

    async def receive(self) -> object:
        return await asyncio.Event().wait()


def test_a_page_that_takes_nothing_is_given_up_and_nobody_waits_for_it() -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        one = channel.SocketChannel(Deaf())  # type: ignore[arg-type]
        delivery = asyncio.create_task(one.deliver())
        message = Message({"event": "masks"}, bytes(channel.PAUSE // 4))
        for _ in range(5):
            one.send(message)
        listener = loop.run_in_executor(None, one.receive, lambda: 0)
        await asyncio.sleep(0.05)
        # More waits than a page may leave lying: its next request is not even read.
        assert one._reading is None and not listener.done()
        with pytest.raises(OSError, match="does not take"):
            for _ in range(channel.HANG_UP // len(message.blob or b"")):
                one.send(message)
        assert await asyncio.wait_for(listener, 5) is None
        delivery.cancel()
        await asyncio.gather(delivery, return_exceptions=True)

    asyncio.run(run())


def test_a_page_whose_request_is_awaited_is_given_up_too() -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        one = channel.SocketChannel(Deaf())  # type: ignore[arg-type]
        delivery = asyncio.create_task(one.deliver())
        listener = loop.run_in_executor(None, one.receive, lambda: 0)
        while one._reading is None:
            await asyncio.sleep(0.01)
        with pytest.raises(OSError, match="does not take"):
            for _ in range(9):
                one.send(Message({}, bytes(channel.HANG_UP // 8)))
        assert await asyncio.wait_for(listener, 5) is None
        delivery.cancel()
        await asyncio.gather(delivery, return_exceptions=True)

    asyncio.run(run())


def test_a_page_that_reads_nothing_does_not_hold_up_another(bench: Workbench) -> None:
    with Page(bench.address) as good, Page(bench.address, max_queue=1) as slow:
        session = slow.call("open", path=str(bench.clip))[0]["session"]
        for _ in range(40):
            slow.post("frame", session=session, format="webp", quality=100)
        other = good.call("open", path=str(bench.clip))[0]["session"]
        assert good.call("prompt", session=other, object=1, prompt=CLICK, frame=0)[0]["frame"] == 0


def test_only_so_many_pages_are_served(bench: Workbench) -> None:
    pages = [Page(bench.address) for _ in range(MAX_APPS)]
    try:
        for page in pages:
            page.call("ping")
        with Page(bench.address) as more:
            assert more.read()[0]["error"]["code"] == "busy"
    finally:
        for page in pages:
            page.close()

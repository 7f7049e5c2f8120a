"""Methods for a page, which cannot name files as other apps do: what there is, and files sent."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from sam2_mlx.apps.fields import Refusal, integer, path_name, text
from sam2_mlx.apps.serving.conversation import Answer, Conversation, Upload
from sam2_mlx.apps.serving.messages import Blob
from sam2_mlx.apps.serving.method import Engine, method
from sam2_mlx.files import StagedFile, free_path
from sam2_mlx.media.pictures import PICTURE_SUFFIXES
from sam2_mlx.media.reader import CLIP_SUFFIXES

_SUFFIXES = CLIP_SUFFIXES | PICTURE_SUFFIXES
_MOST_ENTRIES = 2000
MAX_UPLOAD = 2**37
_SPARE_BYTES = 2**30
_ODD = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|%\[\]]')


@method(aside=True, path=path_name("folder").otherwise())
def browse(engine: Engine, app: Conversation, path: str | None) -> Answer:
    """Folders, clips and pictures of a folder that may be read; those to begin with by default."""
    if path is None:
        return {"path": None, "parent": None, **_listed(engine.access.roots)}, b""
    folder = Path(path)
    if not folder.is_dir():
        raise Refusal("bad_request", f"{path} is no folder; open it instead")
    parent = str(folder.parent) if engine.access.may_read(folder.parent) else None
    # Links lead elsewhere, and are not offered.
    entries = sorted(one for one in folder.iterdir() if not one.is_symlink())
    return {"path": path, "parent": parent, **_listed(entries)}, b""


def _listed(places: list[Path]) -> dict[str, Any]:
    folders, files = [], []
    for place in places[:_MOST_ENTRIES]:
        if place.name.startswith("."):
            continue
        if place.is_dir():
            folders.append({"name": place.name, "path": str(place)})
        elif place.suffix.lower() in _SUFFIXES and place.is_file():
            size = place.stat().st_size
            files.append({"name": place.name, "path": str(place), "bytes": size})
    return {"folders": folders, "files": files}


@method(
    aside=True,
    name=text(255),
    folder=text(255).otherwise(),
    size=integer(1, MAX_UPLOAD),
    offset=integer(0, MAX_UPLOAD),
)
def upload(  # noqa: PLR0913 - the fields of the request
    engine: Engine,
    app: Conversation,
    blob: Blob,
    name: str,
    folder: str | None,
    size: int,
    offset: int,
) -> Answer:
    """Take a part of a file, the first one first; with the last one it gets its name."""
    if offset == 0:
        if app.upload is not None:
            app.upload.close()
        app.upload = _begin(engine.access.home / "uploads", name, folder, size)
    upload = app.upload
    expected = None if upload is None else (upload.name, upload.size, upload.received)
    if upload is None or expected != (_plain(name), size, offset) or offset + len(blob) > size:
        raise Refusal("bad_request", f"parts of a file come in order; expected {expected}")
    upload.write(blob)
    if upload.received < size:
        return {"received": upload.received, "path": None}, b""
    app.upload = None
    return {"received": size, "path": str(upload.finish())}, b""


def _begin(home: Path, name: str, folder: str | None, size: int) -> Upload:
    name = _plain(name)
    if Path(name).suffix.lower() not in _SUFFIXES:
        raise Refusal("bad_media", f"{name} is neither a clip nor a picture by its name")
    place = home if folder is None else home / _plain(folder)
    place.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(place).free < size + _SPARE_BYTES:
        raise Refusal("failed", f"the disk is too full for {size} bytes more; free some space")
    target = place / name
    if folder is None:
        target = free_path(place, target.stem, target.suffix)
    return Upload(name, size, StagedFile(target))


def _plain(name: str) -> str:
    """A name without what means something in paths."""
    return _ODD.sub("_", name).lstrip(".") or "file"

"""Methods for people who look: frames as pictures, and what a click would take."""

from __future__ import annotations

from sam2_mlx.serving.conversation import Answer, Conversation, Picture
from sam2_mlx.serving.fields import choice, integer
from sam2_mlx.serving.messages import Refusal
from sam2_mlx.serving.method import NUMBER, Engine, method
from sam2_mlx.serving.peek import FORMATS, encode
from sam2_mlx.serving.pixels import MAX_SIDE


@method(
    aside=True,
    session=NUMBER,
    frame=integer(0, 2**31).otherwise(0),
    max_width=integer(1, MAX_SIDE).otherwise(MAX_SIDE),
    format=choice(*FORMATS).otherwise("jpeg"),
    quality=integer(1, 100).otherwise(85),
)
def frame(  # noqa: PLR0913 - the fields of the request
    engine: Engine,
    app: Conversation,
    session: int,
    frame: int,
    max_width: int,
    format: str,
    quality: int,
) -> Answer:
    """A frame of a clip, or a picture, as a file that browsers show."""
    opened = app.sessions.get(session)
    if isinstance(opened, Picture):
        data, width, height = encode(opened.image, max_width, format, quality)
    elif opened is not None and opened.viewer is not None:
        data, width, height = opened.viewer.picture(frame, max_width, format, quality)
    else:
        raise Refusal("no_session", f"no clip or picture has the number {session}; open one first")
    return {"frame": frame, "format": format, "width": width, "height": height}, data

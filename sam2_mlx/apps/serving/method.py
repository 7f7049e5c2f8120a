"""What a method is: a function, and the fields that a request for it may have."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sam2_mlx.apps.fields import Field, Refusal, integer, read_fields
from sam2_mlx.apps.serving.access import Access

if TYPE_CHECKING:
    from sam2_mlx.model.sam import Sam

PROTOCOL = 1

NUMBER = integer(0, 2**53)
"""A number that an app counts with, as far as JavaScript's numbers are exact."""


class Stop(Exception):
    """The worker is to end."""


@dataclass
class Engine:
    """What all apps of a worker share.

    Attributes:
        method_names: what apps may ask for.
        model: the model that new sessions get; None before one is loaded.
        access: which files they may name.
        opened: what the user named when the process was started, or None.
    """

    method_names: tuple[str, ...] = ()
    model: Sam | None = None
    access: Access = field(default_factory=Access)
    opened: Path | None = None

    def loaded(self) -> Sam:
        """The model.

        Raises:
            Refusal: `no_model`.
        """
        if self.model is None:
            raise Refusal("no_model", "no model is loaded; call load_model first")
        return self.model

    def read(self, fields: dict[str, Any], schema: Mapping[str, Field]) -> dict[str, Any]:
        """The values of a request's fields, its paths as they may be opened.

        Raises:
            Refusal: `bad_request`, or `forbidden`.
        """
        values = read_fields(fields, schema)
        for name, one in schema.items():
            if one.names and values[name] is not None:
                values[name] = getattr(self.access, one.names)(values[name])
        return values


@dataclass(frozen=True)
class Method:
    """A method of the protocol.

    Attributes:
        name: what requests call it.
        run: takes the engine, the conversation and the fields; gives the result and a blob, or
            the work of a job.
        schema: the fields.
        immediate: done when it arrives, beside whatever is running; it must not use MLX.
        aside: done beside whatever is running, too, but one after the other; it must not use MLX.
        holds_session: whether other requests about the session wait until its job has ended.
    """

    name: str
    run: Callable[..., Any]
    schema: Mapping[str, Field]
    immediate: bool = False
    aside: bool = False
    holds_session: bool = True

    @property
    def uses_blob(self) -> bool:
        """Whether it takes the request's blob."""
        return "blob" in inspect.signature(self.run).parameters

    @property
    def uses_job(self) -> bool:
        """Whether it takes the job that the request names."""
        return "job" in inspect.signature(self.run).parameters and not self.immediate


def method(
    immediate: bool = False, aside: bool = False, holds_session: bool = True, **schema: Field
) -> Callable[[Callable[..., Any]], Method]:
    """Make a method of a function; its name is the method's.

    Args:
        immediate: see `Method`.
        aside: see `Method`.
        holds_session: see `Method`.
        schema: the fields of its requests.
    """
    kind = (schema, immediate, aside, holds_session)
    return lambda run: Method(run.__name__.rstrip("_"), run, *kind)

"""What a fault is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """A change of one place.

    Attributes:
        file: under sam2_mlx.
        text: what stands there, once.
        replacement: what is put in its place.
        test: the test that fails then, from the repository's root.
    """

    file: str
    text: str
    replacement: str
    test: str

    @property
    def room(self) -> str:
        """The folder of the package."""
        return self.file.split("/")[0]

    @property
    def what(self) -> str:
        """The change in a line."""
        before, after = (" ".join(text.split()) for text in (self.text, self.replacement))
        return f"{before[:48]} -> {after[:48] or 'nothing'}"

"""docs/app.md says what the worker does."""

from __future__ import annotations

import json
import re
from pathlib import Path

from sam2_mlx.apps.serving.methods import METHODS

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "app.md").read_text(encoding="utf-8")


def test_every_method_has_an_example_with_fields_it_takes() -> None:
    found: dict[str, set[str]] = {}
    for place in re.finditer("-> (?={)", TEXT):
        request, _ = json.JSONDecoder().raw_decode(TEXT, place.end())
        found.setdefault(request.pop("method"), set()).update(set(request) - {"id"})
    assert set(found) == set(METHODS)
    for name, fields in found.items():
        assert fields <= set(METHODS[name].schema), name


def test_every_error_is_in_the_table_and_none_else() -> None:
    table = TEXT[TEXT.index("### Errors") : TEXT.index("### Beginnings")]
    rows = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    listed = {code for row in rows for code in re.findall(r"`(\w+)`", row)}
    sources = (ROOT / "sam2_mlx" / "apps").rglob("*.py")
    text = "".join(path.read_text(encoding="utf-8") for path in sources)
    raised = set(re.findall(r'Refusal\(\s*"(\w+)"', text)) | set(re.findall(r'code="(\w+)"', text))
    raised |= set(re.findall(r'"code": "(\w+)"', text))
    raised |= set(re.findall(r'(?:code: str = |\d, )"(bad_\w+)"', text))
    assert listed == raised

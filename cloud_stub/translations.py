"""Compiles the committed .po files to the .mo files that Django reads."""

import os
from pathlib import Path

from edge.translations import pack, parse

__all__ = ["SOURCE", "compile_all", "pack", "parse"]

SOURCE = Path(__file__).parent / "locale"


def compile_all(target: Path) -> None:
    """Compile every SOURCE/<language>/LC_MESSAGES/*.po below `target`, where the result differs."""
    for source in sorted(SOURCE.glob("*/LC_MESSAGES/*.po")):
        compiled = pack(parse(source.read_text("utf-8")))
        path = target / source.relative_to(SOURCE).with_suffix(".mo")
        if not path.exists() or path.read_bytes() != compiled:
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = path.with_suffix(".new")
            draft.write_bytes(compiled)
            os.replace(draft, path)

"""Parts of files that follow from the installed channels and adapters are current."""

import pytest

from services.development.generated_files import ROOT, GeneratedPart, generated_parts, with_part


@pytest.mark.parametrize("part", generated_parts(), ids=lambda part: f"{part.file} {part.first}")
def test_a_generated_part_is_current(part: GeneratedPart) -> None:
    text = (ROOT / part.file).read_text("utf-8")
    assert with_part(text, part) == text, "`make schemas` writes it"


def test_a_part_without_its_markers_is_refused() -> None:
    part = GeneratedPart("a.md", "<!-- x", "<!-- end", ("new",))
    assert with_part("a\n<!-- x -->\nold\n<!-- end -->\nb\n", part) == "a\n<!-- x -->\nnew\n<!-- end -->\nb\n"
    for text in ("a\n<!-- end -->\n", "<!-- x -->\nold\n"):
        with pytest.raises(ValueError, match=r"a\.md"):
            with_part(text, part)

"""The brand of the public pages is checked at the start: readable colours, links, logos that are pictures."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from services.development.demo import BRAND
from services.kit.runtime.settings import SettingsError
from services.preference.centre.brand import MAX_LOGO_BYTES, CentreSettings, contrast, load_brand, mix
from services.preference.centre.page_html import CentrePages

SVG = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><path id="a" d="M0 0"/></svg>'


@pytest.mark.parametrize(
    ("first", "second", "ratio"),
    [
        ("#000000", "#ffffff", 21.0),
        ("#777777", "#ffffff", 4.48),
        ("#767676", "#ffffff", 4.54),
        ("#abcdef", "#abcdef", 1.0),
    ],
)
def test_contrast_is_that_of_wcag(first: str, second: str, ratio: float) -> None:
    assert round(contrast(first, second), 2) == ratio == round(contrast(second, first), 2)


def test_mixing_is_linear() -> None:
    assert mix("#000000", "#ffffff", 0.5) == "#808080"
    assert mix("#123456", "#ffffff", 1) == "#123456"


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("accent", "#93cfab", "take a darker one"),
        ("accent", "#767676", "needs 4.5"),  # enough on white, not on the ground of the page
        ("accent_dark", "#2b5b3f", "take a lighter one"),
        ("accent", "green", "#rrggbb"),
        ("accent", "#fff; } body { display: none", "#rrggbb"),
        ("support", "javascript:alert(1)", "whole address"),
        ("privacy_url", "//shop.example.org", "whole address"),
        ("languages", "en,tlh", "no language of the pages"),
        ("lead", "Choose.", "JSON"),
        ("lead", '{"tlh": "x"}', "no language of the pages"),
        ("lead", '{"en": ""}', "at least 1 character"),
        ("name", "Shop\nShop", "match"),
    ],
)
def test_what_cannot_be_used_is_refused(field: str, value: str, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        CentreSettings.model_validate({field: value})


def test_a_logo_is_a_data_uri(tmp_path: Path) -> None:
    (tmp_path / "logo.svg").write_bytes(SVG)
    (tmp_path / "logo.png").write_bytes(b"\x89PNG\r\n\x1a\n...")
    brand = load_brand(CentreSettings(logo_file=tmp_path / "logo.svg", logo_dark_file=tmp_path / "logo.png"))
    assert brand.logo is not None and brand.logo.startswith("data:image/svg+xml;base64,")
    assert brand.logo_dark is not None and brand.logo_dark.startswith("data:image/png;base64,")


@pytest.mark.parametrize(
    "data",
    [
        b"GIF89a",
        b"",
        b"<html/>",
        b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
        b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
        b'<svg xmlns="http://www.w3.org/2000/svg"><foreignObject/></svg>',
        b'<svg xmlns="http://www.w3.org/2000/svg"><image href="https://tracker.example/x.png"/></svg>',
        b'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"><use xlink:href="https://x.example/y"/></svg>',
        b'<svg xmlns="http://www.w3.org/2000/svg"><rect fill="url(https://x.example/y)"/></svg>',
        b'<!DOCTYPE svg [<!ENTITY a "x">]><svg xmlns="http://www.w3.org/2000/svg">&a;</svg>',
        SVG + b" " * MAX_LOGO_BYTES,
    ],
)
def test_what_is_no_plain_picture_stops_the_start_by_name(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "logo.svg"
    path.write_bytes(data)
    with pytest.raises(SettingsError, match="TACTFUL_CENTRE__LOGO_FILE: "):
        load_brand(CentreSettings(logo_file=path))


def test_a_logo_that_is_missing_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        load_brand(CentreSettings(logo_file=tmp_path / "none.svg"))


def test_the_pages_have_the_brand_and_nothing_from_elsewhere() -> None:
    pages = CentrePages(
        load_brand(CentreSettings.model_validate({**BRAND, "accent": "#123456", "languages": "de, en"}))
    )
    assert pages.brand.languages == ("de", "en")
    policy = pages.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "img-src data:" in policy and "form-action 'self'" in policy
    assert "light-dark(#123456, #93cfab)" in pages._style

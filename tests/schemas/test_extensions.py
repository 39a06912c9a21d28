"""A registry of extensions names the fault of an unusable extension, however often it is read."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from schemas.extensions import ExtensionError, ExtensionRegistry

USABLE = "from types import SimpleNamespace\n\nDECLARATION = SimpleNamespace(id='first', order=1)\n"


def test_every_reading_names_the_same_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    for folder, declaration in (("first", USABLE), ("second", "")):
        extension = tmp_path / "unusable_extensions" / folder
        extension.mkdir(parents=True)
        (extension / "__init__.py").touch()
        (extension / "declaration.py").write_text(declaration)
    registry = ExtensionRegistry(SimpleNamespace, "unusable_extensions")
    for _ in range(2):
        with pytest.raises(ExtensionError, match=r"second\.declaration\.DECLARATION is not a SimpleNamespace"):
            _ = registry.declarations

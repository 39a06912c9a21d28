"""Declaration of the adapter `print_shop`."""

from pathlib import Path
from typing import Final

from schemas.adapter_registry import AdapterDeclaration, SettingsCheck
from services.kit.runtime.section import Section


class PrintShopSettings(Section):
    """The folder that the print shop collects."""

    folder: Path | None = None


def _check(settings: PrintShopSettings) -> SettingsCheck:
    if settings.folder is None or not settings.folder.is_dir():
        return SettingsCheck("print_shop without a folder", "set TACTFUL_PRINT_SHOP__FOLDER")
    return SettingsCheck("print_shop, collected")


DECLARATION: Final = AdapterDeclaration(
    id="print_shop",
    order=40,
    summary="prints flyers",
    channels=frozenset({"flyer"}),
    settings=PrintShopSettings,
    sample=("The print shop: the folder that it collects.",),
    check=_check,
)

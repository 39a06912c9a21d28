"""Declaration of the adapter `print_folder`."""

import os
from pathlib import Path
from typing import Final

from schemas.adapter_registry import AdapterDeclaration, SettingsCheck
from services.kit.runtime.section import Section

REMEMBERED_DAYS: Final = 7


class PrintFolderSettings(Section):
    """The folder that the print shop collects. All processes that deliver have to see the same one."""

    path: Path | None = None


def _check_folder(settings: PrintFolderSettings) -> SettingsCheck:
    if settings.path is None:
        return SettingsCheck("print_folder without a folder", "set TACTFUL_PRINT_FOLDER__PATH")
    if not settings.path.is_dir():
        return SettingsCheck("print_folder, whose folder is not there", f"make the folder {settings.path}")
    if not os.access(settings.path, os.W_OK | os.X_OK):
        return SettingsCheck("print_folder, whose folder cannot be written", f"let this user write to {settings.path}")
    return SettingsCheck(f"print_folder, {settings.path}")


DECLARATION: Final = AdapterDeclaration(
    id="print_folder",
    order=75,
    summary="writes letters into a folder, for a print shop",
    channels=frozenset({"letter"}),
    settings=PrintFolderSettings,
    remembers_for=REMEMBERED_DAYS * 86_400.0,
    sample=("The print shop: the folder that it collects letters from.",),
    check=_check_folder,
)

"""The columns of the preference service that are sealed where `TACTFUL_COLUMN_KEYS` is set."""

from typing import Final

from services.kit.db.column_rotation import SealedColumn

SEALED_COLUMNS: Final = (
    SealedColumn("preference_state", "state", owner="customer", key="customer", first=""),
    SealedColumn("preference_change", "value", owner="customer", key="seq", first=0),
)
STATE_COLUMN: Final = SEALED_COLUMNS[0].name
CHANGE_COLUMN: Final = SEALED_COLUMNS[1].name

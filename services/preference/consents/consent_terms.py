"""How long a consent counts that the law lets end: implied consent, and the soft opt-in. Pure.

Both end whether or not anybody says so, hence a record without an end gets one. CASL lets implied consent last two
years after a purchase and six months after an inquiry; whole days that are never longer than that are counted from
`at`. Where nobody says what it rests on, the shorter term counts. For the soft opt-in no law names a number.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from schemas.consent_evidence import GRANTED
from schemas.facts import Consent
from schemas.times import DAY

PURCHASE_DAYS: Final = 730
"""Two years are 730 or 731 days."""
INQUIRY_DAYS: Final = 181
"""Six months are 181 to 184 days."""
SOFT_OPT_IN_DAYS: Final = 730


@dataclass(frozen=True, slots=True)
class ConsentTerms:
    """After how many days a consent without an end of its own ends."""

    purchase_days: int = PURCHASE_DAYS
    inquiry_days: int = INQUIRY_DAYS
    soft_opt_in_days: int = SOFT_OPT_IN_DAYS

    def complete(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of a customer, as facts, with an end for each consent that needs one."""
        given = fields.get("consent")
        return dict(fields) if given is None else {**fields, "consent": tuple(map(self.with_end, given))}

    def with_end(self, record: Consent) -> Consent:
        """The consent with its end; the same object where it has one, or needs none."""
        if record.status != GRANTED or record.expires is not None:
            return record
        days = self._days(record)
        return record if days is None else msgspec.structs.replace(record, expires=record.at + days * DAY)

    def _days(self, record: Consent) -> int | None:
        match record.basis:
            case "soft_opt_in":
                return self.soft_opt_in_days
            case "implied":
                return self.purchase_days if record.occasion == "purchase" else self.inquiry_days
            case _:
                return None


DEFAULT_TERMS: Final = ConsentTerms()

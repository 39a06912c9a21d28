"""How long consents last that have no end of their own: `TACTFUL_CONSENT__...`."""

from pydantic import Field

from services.kit.runtime.section import Section
from services.preference.consents.consent_terms import INQUIRY_DAYS, PURCHASE_DAYS, SOFT_OPT_IN_DAYS, ConsentTerms


class ConsentSettings(Section):
    """Days after which a consent on one of these grounds ends, where it does not say so itself: implied by a purchase
    or by an inquiry (CASL lets them last two years and six months at most), and the soft opt-in.
    """

    purchase_days: int = Field(default=PURCHASE_DAYS, ge=1, le=PURCHASE_DAYS)
    inquiry_days: int = Field(default=INQUIRY_DAYS, ge=1, le=INQUIRY_DAYS)
    soft_opt_in_days: int = Field(default=SOFT_OPT_IN_DAYS, ge=1, le=3650)

    @property
    def terms(self) -> ConsentTerms:
        """The same as a value."""
        return ConsentTerms(self.purchase_days, self.inquiry_days, self.soft_opt_in_days)

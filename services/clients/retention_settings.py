"""For how long each kind of data is kept: the section `retention`, which all services share."""

from typing import Annotated

from pydantic import Field, model_validator

from schemas.documents import FieldError
from services.kit.runtime.section import Section

LONGEST = 36_500
YEAR = 365


class RetentionSettings(Section):
    """For how many days things are kept (docs/privacy.md). None: for ever, as long as the customer is not erased.

    `decisions`: decisions with their events, messages, attempts and receipts. At least as long as the topic of events
    keeps its records, which is checked at start. `contents`: text and address of messages that have ended; not longer
    than their decisions. `inbox_keys`: marks of events that preference and suppression have applied; None: a week
    longer than the topic keeps its records; checked as `decisions`. `shadow`: samples of shadows. `sandbox`: messages
    in the sandbox. `jobs`: finished redrives, simulations and exports' records. `exports`: files of what is known of a
    customer. `history`: values of traits, addresses and languages that others have replaced, situations that are over,
    and entries and holds that have ended. `consent_proof`: consents and opt-outs that others have replaced.
    `embedded_log`: records of the log of `tactful dev` that every service has read.
    """

    decisions: Annotated[int, Field(ge=30, le=LONGEST)] | None = None
    contents: int = Field(default=YEAR, ge=7, le=LONGEST)
    inbox_keys: Annotated[int, Field(ge=30, le=LONGEST)] | None = None
    shadow: int = Field(default=30, ge=1, le=LONGEST)
    sandbox: int = Field(default=90, ge=1, le=LONGEST)
    jobs: int = Field(default=30, ge=1, le=LONGEST)
    exports: int = Field(default=7, ge=1, le=30)
    history: int = Field(default=3 * YEAR, ge=400, le=LONGEST)
    consent_proof: Annotated[int, Field(ge=3 * YEAR, le=LONGEST)] | None = None
    embedded_log: int = Field(default=30, ge=7, le=LONGEST)

    @model_validator(mode="after")
    def _check_order(self) -> "RetentionSettings":
        if self.consent_proof is not None and self.consent_proof < self.history:
            detail = f"is less than history ({self.history} days): proof of consent is kept as long as the rest"
            raise FieldError("consent_proof", detail)
        return self

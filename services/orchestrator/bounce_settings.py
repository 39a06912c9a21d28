"""When soft bounces stop messages to an address: `TACTFUL_BOUNCES__...`."""

from pydantic import Field

from services.kit.runtime.section import Section


class BounceSettings(Section):
    """How many messages to an address may bounce softly in a row: its mailbox is full, or its server defers them.

    `limit`: so many within `within_days`, with nothing delivered in between, stop messages to the address that are not
    transactional, for `rest_days`; 0: none do. Three is what providers of mail use for addresses that are given up
    [from memory]; a month is the time after which a mailbox is emptied or closed.
    """

    limit: int = Field(default=3, ge=0, le=100)
    within_days: int = Field(default=30, ge=1, le=365)
    rest_days: int = Field(default=30, ge=1, le=365)

"""The channel `sms`."""

from typing import Annotated, Final

from pydantic import AfterValidator

from schemas.address_kinds import PHONE
from schemas.channel_registry import ChannelDeclaration
from services.kit.runtime.section import Section
from services.orchestrator.delivery.channels.sms.opt_out_texts import check_opt_out_texts
from services.orchestrator.delivery.channels.sms.prices import check_prices


class SmsSettings(Section):
    """What a part costs, as JSON; empty: no cost is estimated. `opt_out_texts`: JSON, what is added to advertising in a
    country, so that it says how to stop it.
    """

    prices: Annotated[str, AfterValidator(check_prices)] = ""
    opt_out_texts: Annotated[str, AfterValidator(check_opt_out_texts)] = ""


DECLARATION: Final = ChannelDeclaration(
    id="sms",
    order=20,
    label="SMS",
    in_sentence="SMS",
    icon="message",
    preview="bubble",
    address_kind=PHONE,
    settings=SmsSettings,
    sample=(
        "The channel sms: what a part costs in each country, for estimates in previews and in the console's inbox, as",
        'JSON such as {"currency": "EUR", "per_part": {"DE": 0.075, "*": 0.1}}; * stands for all other countries.',
        "__OPT_OUT_TEXTS: what advertising to a country has to say, added where it does not say it already, such as",
        '{"US": "Reply STOP to opt out", "CA": "Reply STOP to opt out", "FR": "STOP 36111"}.',
    ),
    completes_content=True,
    has_costs=True,
    has_replies=True,
    stops_everything=True,
)

"""The table of prices in the setting `prices`: what a part costs in each country."""

from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from schemas.address_kinds import REGIONS

OTHER_COUNTRIES: Final = "*"


class PriceTable(BaseModel):
    """Prices of one part by country (ISO 3166), `*` for all others, and their currency (ISO 4217)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    currency: Annotated[str, StringConstraints(pattern="^[A-Z]{3}$")]
    per_part: Annotated[
        dict[str, Annotated[Decimal, Field(ge=0, le=1000, max_digits=9, decimal_places=6)]], Field(min_length=1)
    ]


@lru_cache(maxsize=8)
def parse_prices(text: str) -> PriceTable:
    """The table. Raises ValidationError."""
    return PriceTable.model_validate_json(text)


def check_prices(text: str) -> str:
    """The text of a table, or an empty one. Raises ValueError, which says what is wrong."""
    if not text:
        return text
    try:
        table = parse_prices(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ValueError(f"{'/'.join(map(str, first['loc']))}: {first['msg']}") from None
    for country in table.per_part:
        if country != OTHER_COUNTRIES and country not in REGIONS:
            raise ValueError(f"per_part/{country}: write a country such as DE, or {OTHER_COUNTRIES} for all others")
    return text

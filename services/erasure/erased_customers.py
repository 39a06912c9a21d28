"""Which customers were erased: asked before anything about a customer is taken."""

from collections.abc import Collection

from services.erasure import store
from services.erasure.pseudonyms import Pseudonyms
from services.kit.db.database import Tx
from services.kit.errors import Conflict

ERASED_DETAIL = (
    "this customer was erased: nothing about them is taken, kept or sent any more. Somebody who comes anew needs a new "
    "id; the addresses of before stay blocked (docs/erasure.md)"
)


class CustomerErased(Conflict):
    """The customer was erased; nothing about them is taken any more."""

    default_code = "customer_erased"

    def __init__(self) -> None:
        super().__init__(ERASED_DETAIL)


class ErasedCustomers:
    """Knows erased customers by their pseudonyms."""

    def __init__(self, address_key: bytes) -> None:
        self.pseudonyms = Pseudonyms(address_key)

    async def among(self, tx: Tx, customers: Collection[str]) -> frozenset[str]:
        """Those of the customers who were erased: one statement, none without customers."""
        by_pseudonym = {self.pseudonyms.of_customer(customer): customer for customer in customers}
        return frozenset(by_pseudonym[each] for each in await store.find_erased(tx, by_pseudonym.keys()))

    async def refuse(self, tx: Tx, customer: str) -> None:
        """Raise CustomerErased for an erased customer."""
        if await self.among(tx, [customer]):
            raise CustomerErased

"""Trial mode: the only recipients that an adapter may reach, until somebody lifts it. Pure.

`TACTFUL_DISPATCH__ONLY_TO` is for all adapters whose messages leave the installation, `TACTFUL_<ADAPTER>__ONLY_TO` for
one of them, in place of it; there `*` lifts what is said for all.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Final

from pydantic import AfterValidator

from schemas.address_kinds import EMAIL, PHONE, BadAddress
from schemas.addresses import kind_of_address
from schemas.channel_registry import CHANNEL_REGISTRY
from schemas.message import Message

EVERYBODY: Final = "*"
MAX_ENTRIES: Final = 500


PUBLIC_STAGE: Final = "community"
"""The stage of channels whose messages are posts that everybody may read."""


@dataclass(frozen=True, slots=True)
class TrialRecipients:
    """Who may get messages: mailboxes of whole domains, single addresses, and customers by their ids.

    Addresses are in canonical form, those of mailboxes in small letters.
    """

    domains: frozenset[str]
    addresses: frozenset[str]
    others: frozenset[str]
    """Ids of customers, and addresses that are neither mailboxes nor telephone numbers: equal in every character."""

    def __len__(self) -> int:
        return len(self.domains) + len(self.addresses) + len(self.others)

    def allow(self, message: Message) -> bool:
        """Whether a message may go to its recipient. What is not surely on the list may not."""
        if CHANNEL_REGISTRY.declarations[message.channel].stage == PUBLIC_STAGE:
            return message.channel in self.others  # whoever caused it, everybody reads it
        if message.customer in self.others or message.to in self.others:
            return True
        kind = kind_of_address(message.channel)
        if kind is EMAIL:
            mailbox = message.to.strip().lower()
            return mailbox in self.addresses or mailbox.rpartition("@")[2] in self.domains
        return kind is PHONE and message.to.strip() in self.addresses


@lru_cache(maxsize=64)
def parse_recipients(text: str) -> TrialRecipients | None:
    """The recipients that a setting lists, separated by commas; None for everybody: no text, or `*`.

    `*@example.com` is every mailbox of that domain, and of none below it. What has an @ is a mailbox, what begins with
    + a telephone number in international form; all else is compared with the customer's id and with the address as a
    whole. Raises ValueError with one line for an entry that cannot be meant.
    """
    entries = [entry.strip() for entry in text.split(",") if entry.strip()]
    if not text.strip() or entries == [EVERYBODY]:
        return None
    if not 0 < len(entries) <= MAX_ENTRIES:
        raise ValueError(f"list 1 to {MAX_ENTRIES} recipients, separated by commas")
    domains: set[str] = set()
    addresses: set[str] = set()
    others: set[str] = set()
    for number, entry in enumerate(entries, start=1):
        try:
            if entry.startswith("*@"):
                domains.add(EMAIL.canonicalise(f"any{entry[1:]}", None).rpartition("@")[2])
            elif entry.startswith("+"):
                addresses.add(PHONE.canonicalise(entry, None))
            elif "*" in entry or len(entry.split()) > 1:
                raise ValueError(f"entry {number}: write *@domain, one address or one customer id, between commas")
            elif "@" in entry:
                addresses.add(EMAIL.canonicalise(entry, None).lower())
            else:
                others.add(entry)
        except BadAddress as error:
            raise ValueError(f"entry {number}: {error}") from None
    return TrialRecipients(frozenset(domains), frozenset(addresses), frozenset(others))


def _check_recipients(text: str) -> str:
    parse_recipients(text)
    return text


OnlyTo = Annotated[str, AfterValidator(_check_recipients)]
"""A setting that `parse_recipients` reads."""

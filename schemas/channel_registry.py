"""The channels of this installation: what every process must know about each of them, as data.

A channel is a folder in `services/orchestrator/delivery/channels/` (docs/extending.md). Its declaration is read by all
services and by the command line; how it checks and renders content only by the orchestrator.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, get_args

from pydantic import BaseModel

from schemas.address_kinds import NO_ADDRESS, TOKEN, AddressKind
from schemas.extensions import ExtensionRegistry, NoSettings

Stage = Literal["real_time", "database", "outbound", "content", "community"]
STAGES: Final[tuple[Stage, ...]] = get_args(Stage)
"""The five stages of communication with customers: conversations, what is known of them, messages of ours, what they
read, and communities.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyWindow:
    """Of a channel where what was not approved beforehand may only follow a message of the customer."""

    hours: int
    """For so long after the customer's last message."""
    free_without: str
    """The field that a message has if it was approved beforehand, and may be sent at any time."""
    remedy: str
    """What to do about a message outside of the window, in the imperative."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelDeclaration:
    """One channel."""

    id: str
    order: int
    """Its place in lists; smaller comes first."""
    label: str
    """Its name in the console, such as `E-mail`."""
    short_label: str | None = None
    """Its name where there is little room; the label if absent."""
    in_sentence: str
    """Its name after the word `by`, such as `e-mail`."""
    icon: str
    """An icon of the console's set (`services/orchestrator/console/templates/icons.html`)."""
    preview: Literal["page", "bubble", "card", "post"] = "card"
    """How the console's inbox shows a message: `page` frames its field `html`, `bubble` shows its field `text`, `card`
    shows its fields `title` and `body`, `post` shows what a chat program does: title, text, facts, image, buttons."""
    stage: Stage = "outbound"
    """The stage of communication under which its messages are counted (`STAGES`)."""
    address_kind: AddressKind = TOKEN
    """What its addresses are (`schemas/address_kinds.py`); `NO_ADDRESS` where messages go to the customer's id. Never
    change it for a channel that has been in use: suppressions are stored as hashes of canonical forms."""
    counts_in_general_caps: bool = True
    """Whether caps that name no channels count its messages and concern them."""
    render_errors: tuple[str, ...] = ()
    """Codes of the render errors that only this channel raises; a label of the metric `renders_total`."""
    settings: type[BaseModel] = NoSettings
    """Its section of the settings, `TACTFUL_<ID>__<FIELD>`. Every field has a default."""
    sample: tuple[str, ...] = ()
    """Lines of explanation above its settings in `deploy/.env.example`."""
    has_costs: bool = False
    """Whether its module `cost` has a function `estimate_cost(settings, content, to, region)`, which says what a
    message costs: `delivery/channels/costs.py`."""
    completes_content: bool = False
    """Whether its module `completion` has a function `complete_content(settings, content, cls, to, region)`, which adds
    what the country of the address wants: `delivery/channels/completion.py`."""
    tracks_links: bool = False
    """Whether its module `tracking` has a function `track_links(content, cls, links)`, which gives a message links by
    which clicks and opens are seen: `delivery/links/link_tracker.py`."""
    shows_sender: bool = False
    """Whether its marketing has to say who the sender is and where letters reach them."""
    has_document: bool = False
    """Whether its module `document` has a constant `MEDIA_TYPE` and a function `draw_document(message_id, to, content)`
    that makes of a rendered message the file that is handed over; the console's inbox offers it."""
    has_replies: bool = False
    """Whether customers answer on it from the address that messages go to. An index of `message` finds the last message
    to an address on each of these channels, so a further one comes with a migration.
    """
    stops_everything: bool = False
    """Whether a customer who tells the provider to stop gets no message on it any more. Otherwise advertising stops."""

    reply_window: ReplyWindow | None = None
    """Which messages may only be sent soon after a message of the customer; None: all may be sent at any time."""
    sender_spellings: Callable[[str], tuple[str, ...]] = lambda address: (address,)
    """Of the address from which providers say that a customer has written: all that messages to this customer may have
    gone to. More than one where the network knows its members by numbers that are not those one dials."""

    @property
    def needs_address(self) -> bool:
        """Whether a message needs an address of the customer."""
        return self.address_kind is not NO_ADDRESS


CHANNEL_REGISTRY: Final = ExtensionRegistry(ChannelDeclaration, "services.orchestrator.delivery.channels")

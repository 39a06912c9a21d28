"""Social: a short post to a community. It is about no customer, so its content cannot read one."""

from typing import Final

from services.orchestrator.delivery.channels.chat_content import ChatContentChannel, PostFields

MAX_TEXT: Final = 500
"""Our own limit: a post is short."""
PRIVATE_NAMES: Final = frozenset({"customer", "links"})
"""What is known of the customer, and the links to the customer's own pages."""

CHANNEL: Final = ChatContentChannel(
    id="social",
    sample_address="community",
    fields=PostFields,
    max_text=MAX_TEXT,
    sample_content={"text": "{{ event.type }}"},
    private_names=PRIVATE_NAMES,
)

"""Whether somebody may change a campaign: by the topics and owners to which their key or their sign-in is bounded."""

from collections.abc import Iterable

from schemas.campaign_scope import CampaignScope
from services.kit.db.database import Tx
from services.kit.errors import Forbidden
from services.orchestrator.campaigns import store
from services.orchestrator.campaigns.store import CampaignHead


class OutOfScope(Forbidden):
    """The campaign is none of those that this key, or this person, may change."""

    default_code = "out_of_scope"


def check_documents(scope: CampaignScope, what: str, documents: Iterable[object]) -> None:
    """Raises OutOfScope unless all documents are inside."""
    if not all(scope.covers_document(document) for document in documents):
        raise OutOfScope(
            f"{what} is none that you may change: you may change {scope.in_words()}. Ask somebody who may change it, "
            "or an administrator for a wider scope"
        )


async def check_campaign(tx: Tx, scope: CampaignScope, head: CampaignHead, *documents: object) -> None:
    """Raises OutOfScope unless the campaign as it stands, its newest version and the one that decides, is inside, and
    so are the documents that it is about to have.
    """
    if scope.is_everything:
        return
    numbers = {head.newest, head.active_version} - {0, None}
    standing = [await store.get_campaign_version(tx, head.key, number) for number in numbers if number is not None]
    check_documents(
        scope, f"the campaign `{head.key}`", [*documents, *(each.document for each in standing if each is not None)]
    )


def check_policy_change(scope: CampaignScope) -> None:
    """Raises OutOfScope where somebody may change some campaigns alone: the policy is for all of them."""
    if not scope.is_everything:
        raise OutOfScope(f"the policy is for all campaigns, and you may change {scope.in_words()} alone")

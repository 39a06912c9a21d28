"""Campaigns that are active and use more of a person than a policy would let them: they refuse its activation."""

from collections.abc import Iterator, Sequence
from contextlib import suppress

import schemas.policy
from schemas.finding import Finding
from schemas.vocabulary import CampaignStatus as Status
from schemas.words import join_words
from services.condition import ConditionSyntaxError
from services.kit.errors import Invalid
from services.kit.http.problems import to_problem
from services.orchestrator.campaigns.store import DocumentVersion
from services.orchestrator.campaigns.stored_documents import UnreadableCampaign, read_campaign
from services.orchestrator.campaigns.trait_use import sensitive_use_problems
from services.template import TemplateSyntaxError


def refuse_active_uses(number: int, policy: schemas.policy.Policy, launched: Sequence[DocumentVersion]) -> None:
    """Raises Invalid, which names the campaigns and each place, while active ones are against the policy's `traits`.

    One that is paused is checked when it is resumed, and one that cannot be read decides nothing.
    """
    found = {
        version.key: uses
        for version in launched
        if version.status is Status.ACTIVE and (uses := list(_uses_against(version, policy)))
    }
    if found:
        names = join_words([f"`{key}`" for key in found], "and")
        raise Invalid(
            f"version {number} of the policy cannot be activated: active campaigns use traits that it declares too "
            f"sensitive for their class: {names}. Pause them, or activate versions of them without these traits; "
            "`errors` has each place.",
            errors=[to_problem(each) for uses in found.values() for each in uses],
        )


def _uses_against(version: DocumentVersion, policy: schemas.policy.Policy) -> Iterator[Finding]:
    with suppress(UnreadableCampaign, ConditionSyntaxError, TemplateSyntaxError):
        for use in sensitive_use_problems(read_campaign(version), policy):
            yield Finding("/traits", "used_by_active_campaign", f"`{version.key}`, {use.pointer}: {use.detail}")

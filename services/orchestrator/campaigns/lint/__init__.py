"""What a document that may be kept would still better not say. Pure: documents in, findings out.

A finding is never a guess: it states something that follows from the documents alone. It refuses nothing.
"""

from services.orchestrator.campaigns.lint.campaign_lint import of_campaign
from services.orchestrator.campaigns.lint.finding import Finding
from services.orchestrator.campaigns.lint.policy_lint import of_policy

__all__ = ["Finding", "of_campaign", "of_policy"]

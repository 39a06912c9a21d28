"""What a document that may be kept would still better not say. Pure: documents in, findings out.

A finding is never a guess: it states something that follows from the documents alone. It refuses nothing.
"""

from services.orchestrator.campaigns.lint.campaign_lint import lint_campaign
from services.orchestrator.campaigns.lint.finding import LintFinding
from services.orchestrator.campaigns.lint.policy_lint import lint_policy

__all__ = ["LintFinding", "lint_campaign", "lint_policy"]

"""Lint: advice about documents that are valid but probably not what their author wants. Pure.

A finding follows from the documents alone and is never a guess. Findings refuse nothing.
"""

from services.orchestrator.campaigns.lint.campaign_lint import lint_campaign
from services.orchestrator.campaigns.lint.consent_lint import unanswered_findings
from services.orchestrator.campaigns.lint.fallback_lint import with_confirmations
from services.orchestrator.campaigns.lint.policy_lint import lint_policy
from services.orchestrator.campaigns.lint.sender_lint import with_senders
from services.orchestrator.campaigns.lint.window_lint import with_windows

__all__ = [
    "lint_campaign",
    "lint_policy",
    "unanswered_findings",
    "with_confirmations",
    "with_senders",
    "with_windows",
]

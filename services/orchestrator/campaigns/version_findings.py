"""What today's checks say about a version of a campaign, whenever it was saved."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from schemas.documents import DocumentError
from schemas.finding import Finding
from schemas.times import Instant
from services.kit.db.database import Database
from services.orchestrator.campaigns.campaign_workflow import get_active_policy
from services.orchestrator.campaigns.document_checks import ContentChecker, validate_campaign
from services.orchestrator.campaigns.lint import lint_campaign
from services.orchestrator.campaigns.store import DocumentVersion
from services.orchestrator.campaigns.stored_documents import UnreadableCampaign, compile_version, read_campaign
from services.orchestrator.seen_names.findings import add_seen_names


class VersionCheck(NamedTuple):
    """Whether a version can decide, and what is wrong with it, or may go wrong."""

    usable: bool
    findings: list[Finding]


async def check_version(
    database: Database, version: DocumentVersion, check_content: ContentChecker, now: Instant
) -> VersionCheck:
    """Checks a version as if it were saved now. What would refuse it is an error among the findings."""
    async with database.read() as tx:
        policy = await get_active_policy(tx)
    try:
        checked = await asyncio.to_thread(validate_campaign, version.key, version.document, policy, check_content, now)
    except DocumentError as error:
        usable, findings = await asyncio.to_thread(_is_usable, version), error.findings
        if usable:
            warnings = await asyncio.to_thread(lint_campaign, read_campaign(version), policy)
            findings = [*findings, *_lint_without(findings, warnings)]
        return VersionCheck(usable, findings)
    return VersionCheck(True, await find_warnings(database, version, checked.warnings, now))


async def find_warnings(
    database: Database, version: DocumentVersion, content_findings: Sequence[Finding], now: Instant
) -> list[Finding]:
    """The lint's findings under the active policy, and what the content may fail for."""
    document = read_campaign(version)
    async with database.read() as tx:
        policy = await get_active_policy(tx)
    lint = await asyncio.to_thread(lint_campaign, document, policy)
    return [*lint, *await add_seen_names(database, document, content_findings, now)]


def _is_usable(version: DocumentVersion) -> bool:
    try:
        compile_version(version)
    except UnreadableCampaign:
        return False
    return True


def _lint_without(errors: Sequence[Finding], warnings: Sequence[Finding]) -> list[Finding]:
    """The warnings about places that have no error."""
    places = {each.pointer for each in errors}
    return [each for each in warnings if each.pointer not in places]

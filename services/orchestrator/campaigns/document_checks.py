"""Validation before a document is saved, and before a saved one decides.

Form, conditions, content, and references to other documents. All problems are reported at once, each with a JSON
pointer.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

import msgspec

import schemas.campaign
import schemas.policy
from schemas.documents import DocumentError, DocumentProblem, did_you_mean, validate_document
from schemas.finding import Finding, Severity
from schemas.ids import describe_invalid_id
from schemas.own_events import OWN_EVENT_TYPES, is_unknown_own
from schemas.times import Instant, format_instant
from schemas.vocabulary import Class
from services.kit.errors import Invalid
from services.kit.http.problems import to_problem
from services.orchestrator.campaigns import conditions
from services.orchestrator.campaigns.trait_use import sensitive_use_problems

ContentChecker: TypeAlias = Callable[[schemas.campaign.Campaign], Iterable[Finding]]
"""Validates a campaign's content; implemented by `delivery.channels.content.check_content`."""


class CheckedCampaign(NamedTuple):
    """A campaign that can be saved, and warnings about its content."""

    document: schemas.campaign.Campaign
    warnings: tuple[Finding, ...]


def validate_campaign(
    key: str,
    data: Any,
    policy: schemas.policy.Policy | None,
    check_content: ContentChecker,
    now: Instant | None = None,
) -> CheckedCampaign:
    """Validates the campaign for `key` under the active `policy`. Raises DocumentError. `now`: when it is to be sent
    from; absent for a simulation, whose events may be older than the campaign's end.

    It renders the content for trial, which takes up to a second of CPU time for large e-mails.
    """
    document = validate_document(schemas.campaign.Campaign, data)
    problems: list[DocumentProblem] = []
    if document.key != key:
        problems.append(
            (
                "/key",
                "wrong_key",
                f"the key is `{key}` in the path and `{document.key}` in the document; they must be equal",
            )
        )
    problems += _trigger_problems("/trigger/event", document.trigger.event)
    if now is not None and document.end is not None and document.end <= now:
        detail = f"the campaign ended at {format_instant(document.end)}: no message of it would ever be sent"
        problems.append(("/end", "already_over", detail))
    problems += conditions.campaign_condition_problems(document)
    content_findings = list(check_content(document))
    problems += [each for each in content_findings if each.severity is Severity.ERROR]
    if policy is not None:
        problems += _topic_problems(document, policy)
    if policy is not None and not problems:  # what has problems may not compile
        problems += sensitive_use_problems(document, policy)
    if problems:
        raise DocumentError(problems)
    return CheckedCampaign(document, tuple(content_findings))


MAX_POLICY_BYTES = 64 * 1024
"""Bytes of JSON of a policy: some hundred rules. All of them are evaluated for each message, several times."""


def validate_policy(data: Any) -> schemas.policy.Policy:
    """Returns the validated policy. Raises DocumentError."""
    if (size := len(msgspec.json.encode(data))) > MAX_POLICY_BYTES:
        detail = f"the policy has {size} bytes of JSON; at most {MAX_POLICY_BYTES} are taken"
        raise DocumentError([("", "too_large", detail)])
    document = validate_document(schemas.policy.Policy, data)
    problems = list(conditions.policy_condition_problems(document))
    for index, kind in enumerate(document.situations):
        for name, triggers in (("opens", kind.opens), ("closes", kind.closes)):
            for place, trigger in enumerate(triggers):
                problems += _trigger_problems(f"/situations/{index}/{name}/{place}/event", trigger.event)
    if problems:
        raise DocumentError(problems)
    return document


def version_refusal(what: str, action: str, error: DocumentError) -> Invalid:
    """The answer to an action on a version that could not be saved today."""
    return Invalid(
        f"{what} could not be saved today, so the action `{action}` is not possible: an earlier version of Tactful, or "
        "another policy, let it pass. Mend what `errors` names, and PUT the document as a new version.",
        errors=[to_problem(each) for each in error.findings],
    )


def _trigger_problems(pointer: str, event_type: str) -> Iterable[DocumentProblem]:
    """Returns the problem of a type that is refused wherever events are taken."""
    if (problem := describe_invalid_id(event_type)) is not None:
        yield pointer, "unknown_type", f"no event of this type is ever taken: it {problem}"
    elif is_unknown_own(event_type):
        similar = did_you_mean(event_type.strip().lower(), OWN_EVENT_TYPES)
        detail = f"no event of the type `{event_type}` is ever taken: `tactful.` begins the types of Tactful{similar}"
        yield pointer, "unknown_type", detail


def fail_open_problems(document: schemas.policy.Policy, transactional: Mapping[str, bool]) -> list[DocumentProblem]:
    """Returns problems for names under `fail_open` that are known but not transactional campaigns."""
    return [
        (
            f"/fail_open/{index}",
            "not_transactional",
            f"`{key}` is not transactional; only transactional campaigns may fail open",
        )
        for index, key in enumerate(document.fail_open)
        if transactional.get(key) is False
    ]


def _topic_problems(document: schemas.campaign.Campaign, policy: schemas.policy.Policy) -> Iterable[DocumentProblem]:
    if document.topic is None:
        return
    topics = {topic.key: topic for topic in policy.topics}
    topic = topics.get(document.topic)
    if topic is None:
        suggestion = did_you_mean(document.topic, topics)
        yield "/topic", "unknown_topic", f"the active policy has no topic `{document.topic}`{suggestion}"
    elif topic.required and document.class_ is Class.MARKETING:
        detail = f"customers cannot switch off `{topic.key}`; marketing needs a topic that is not `required`"
        yield "/topic", "required_topic", detail

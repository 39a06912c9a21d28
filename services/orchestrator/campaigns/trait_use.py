"""Where a campaign reads traits of customers: in its templates and its conditions. Pure.

What cannot be told before a message is made, such as `customer.traits[event.data.name]`, counts as a reading of all
traits, and a name with dots as a reading of each name that it begins with: a trait that is not found would be used
unseen.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import schemas.campaign
import schemas.policy
from schemas.finding import Finding
from schemas.vocabulary import Class, Sensitivity
from schemas.words import join_words
from services.condition.static_kinds import read_paths
from services.orchestrator.delivery.channels.registry import CHANNELS_BY_ID
from services.orchestrator.policy.compiled_campaign import ALL_TRAITS
from services.template import line_and_column

MAY_USE: Final[Mapping[Class, frozenset[Sensitivity]]] = {
    Class.TRANSACTIONAL: frozenset(Sensitivity),
    Class.SERVICE: frozenset(Sensitivity),
    Class.MARKETING: frozenset({Sensitivity.PLAIN, Sensitivity.BEHAVIOURAL}),
}
"""Which traits the campaigns of each class may use. Marketing that uses behavioural ones goes only to customers whose
consent has the basis `consent`: the rule `consent` sees to that, since it differs from customer to customer.
"""
_CONDITION_PREFIX = "customer.traits"
_POSITIONS = frozenset({"first", "last"})
"""In a template, `customer.traits.first` is the first of all traits where there is no trait of this name."""
_TEMPLATE_PREFIXES = ("customer", "traits")


class TraitUse(NamedTuple):
    """One place that reads traits. `names`: which it may read; `path`: as it is shown to people."""

    pointer: str
    line: int
    column: int
    path: str
    names: frozenset[str]


def find_trait_uses(document: schemas.campaign.Campaign) -> Iterator[TraitUse]:
    """Yields each place of a checked campaign that reads traits, in its conditions and then its templates.

    Raises ConditionSyntaxError and TemplateSyntaxError for a document that was not checked.
    """
    for pointer, text in (("/trigger/when", document.trigger.when), ("/audience", document.audience)):
        for (line, column), path in read_paths(text or "true"):
            if (names := _names_in_condition(path)) is not None:
                yield TraitUse(pointer, line, column, path, names)
    for channel, locales in document.content.items():
        for locale, fields in locales.items():
            if not any("customer" in text for text in fields.values()):
                continue
            for field, template in CHANNELS_BY_ID[channel].compile_templates(fields).items():
                for index, segments in template.uses():
                    if (names := _names_in_template(segments)) is not None:
                        place = line_and_column(template.source, index)
                        yield TraitUse(f"/content/{channel}/{locale}/{field}", *place, _shown(segments), names)


def sensitive_use_problems(document: schemas.campaign.Campaign, policy: schemas.policy.Policy) -> Iterator[Finding]:
    """Yields a problem for each place of a checked campaign that uses a trait more sensitive than its class may use.

    One problem for each trait in each field, at its first use.
    """
    allowed = MAY_USE[document.class_]
    refused = {trait.name: trait.sensitivity for trait in policy.traits if trait.sensitivity not in allowed}
    if not refused:
        return
    told: set[tuple[str, str]] = set()
    for use in find_trait_uses(document):
        names = sorted(refused) if ALL_TRAITS in use.names else sorted(use.names & refused.keys())
        for name in names:
            if (use.pointer, name) not in told:
                told.add((use.pointer, name))
                yield _refusal(document.class_, use, name, refused[name])


def _refusal(cls: Class, use: TraitUse, name: str, sensitivity: Sensitivity) -> Finding:
    allowed = join_words([each.value for each in Sensitivity if each in MAY_USE[cls]], "and")
    what = f"the trait `{name}`," if name in use.names else f"all traits, and so the trait `{name}`,"
    return Finding(
        use.pointer,
        "sensitive_trait",
        f"line {use.line}, column {use.column}: `{use.path}` reads {what} which the policy declares "
        f"{sensitivity.value}; campaigns of the class {cls.value} may use {allowed} traits only",
        use.line,
        use.column,
        suggestion=f"Take `{use.path}` out, or name another trait here. Whoever answers for the policy may declare "
        f"`{name}` less sensitive under `traits`.",
        variable=use.path,
    )


def traits_of_campaign(document: schemas.campaign.Campaign) -> frozenset[str]:
    """The names of the traits that a campaign reads, as `CompiledCampaign.traits`; of a class that may use all, none:
    no rule asks. Raises as `find_trait_uses` does.
    """
    if MAY_USE[document.class_] == frozenset(Sensitivity):
        return frozenset()
    return frozenset().union(*(use.names for use in find_trait_uses(document)))


def _names_in_condition(path: str) -> frozenset[str] | None:
    if path == _CONDITION_PREFIX:
        return frozenset({ALL_TRAITS})
    if not path.startswith(f"{_CONDITION_PREFIX}."):
        return None
    parts = path.removeprefix(f"{_CONDITION_PREFIX}.").split(".")
    return frozenset(".".join(parts[: count + 1]) for count in range(len(parts)))


def _names_in_template(segments: Sequence[Any]) -> frozenset[str] | None:
    for segment, wanted in zip(segments, _TEMPLATE_PREFIXES, strict=False):
        if isinstance(segment, list):
            return frozenset({ALL_TRAITS})
        if segment != wanted:
            return None
    if len(segments) <= len(_TEMPLATE_PREFIXES) or not isinstance(name := segments[2], str):
        return frozenset({ALL_TRAITS})
    return frozenset({name, ALL_TRAITS} if name in _POSITIONS else {name})


def _shown(segments: Sequence[Any]) -> str:
    shown = str(segments[0])
    for each in segments[1:]:
        if isinstance(each, list):
            return f"{shown}[...]"
        shown += f".{each}" if isinstance(each, str) else f"[{each}]"
    return shown

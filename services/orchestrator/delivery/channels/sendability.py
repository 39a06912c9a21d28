"""Whether content can be sent: trial renderings before there is any event.

Each field is rendered alone, among sample fields of its channel, once for every branch of its conditions. What fails
with every value of the variables is an error; what fails with some is a warning that names the variable. The channel's
own `render` decides, so a new channel needs nothing for this.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from schemas.finding import Finding, Severity
from services.orchestrator.delivery.channels.content_checks import LINK_NAMES, SAMPLE_CODE
from services.orchestrator.delivery.channels.definition import ChannelDefinition, CompiledTemplates
from services.template import RenderError, line_and_column
from services.template.trial import (
    MANY,
    MISSING,
    BranchDecision,
    SampleObject,
    SampleText,
    TrialRun,
    TrialTemplate,
    TrialValues,
    compile_trial,
)

MAX_RUNS: Final = 64  # branches of one field
MAX_READS: Final = 200_000
"""Variables that the trials of one field read, in all renderings: each takes 40 us, and the work grows with the square
of their number. A count and no time, so that a slow machine finds the same."""
_FILLS: Final = ("Example", "x", "7", "https", "https://example.org/x.pdf", "/x")
"""What unknown values are, in order. A link may need a whole address, its scheme, or a path."""
_LONG: Final = "x" * 20_000
_HAZARDS: Final = (
    MISSING, {"name": "Example"}, ["Example"], "Example", 7, 0, "", "a\nb", _LONG, MANY, "javascript:alert(1)"
)  # fmt: skip
"""Values that events may have, or lack."""
_KNOWN_HAZARDS: Final = {"customer.id": ("Example",), "customer.locale": (MISSING,), "event.type": ()}
"""Those of variables of which more is known."""
_MANY_ITEMS: Final = "has many items"
_REASONS: Final = {
    "undefined": "is missing",
    "empty": "is empty",
    "control_character": "holds a line break or another control character",
    "too_long": "is too long",
    "too_large": "makes the message too large",
    "too_many_pages": "makes too many pages",
    "unsafe_link": "makes a link that is not allowed",
    "no_unsubscribe": "takes the unsubscribe link away",
}
_REMEDIES: Final = {
    "undefined": 'give it a default, such as `{{{{ {0} | default: "..." }}}}`, or ask for it with `{{% if {0} %}}`',
    "control_character": "write `{{{{ {0} | strip_newlines }}}}`",
    "too_many_pages": "cut it, such as `{{{{ {0} | truncate: 200 }}}}`",
    "too_long": "cut it, such as `{{{{ {0} | truncate: 40 }}}}`",
    "empty": "write text beside it, or give it a default",
    "unsafe_link": "write the beginning of the link, `https://...`, before it",
}


def trial_roots(known: Mapping[str, str]) -> dict[str, Any]:
    """Returns the variables of templates before there is an event. `known`: their values by path, as far as known."""
    customer = {
        "id": SampleText("", "customer.id"),
        "traits": SampleObject("customer.traits"),
        "locale": SampleText("", "customer.locale"),
    }
    event = {
        "type": SampleText(known.get("event.type", "shop.order.paid"), "event.type"),
        "time": "2026-01-31T10:00:00Z",
        "data": SampleObject("event.data"),
    }
    campaign = {name: known.get(f"campaign.{name}", "Campaign") for name in ("key", "name")}
    links = {name: f"https://example.org/{name}?token=a&signature=b" for name in LINK_NAMES}
    links["verification_code"] = SAMPLE_CODE
    return {
        "customer": SampleObject("customer", customer),
        "event": SampleObject("event", event),
        "campaign": SampleObject("campaign", campaign),
        "links": SampleObject("links", links),
        "sender": SampleObject(
            "sender", {"legal_name": "Example Ltd", "postal_address": "1 Example Street, Exampleton"}
        ),
        "now": "2026-01-31T10:00:00Z",
    }


def render_sample(compiled: CompiledTemplates, channel: ChannelDefinition, marketing: bool) -> dict[str, str] | None:
    """The content with sample values in place of its variables; None where it does not render with them."""
    trial = {name: compile_trial(each.source, each.html, name) for name, each in compiled.items()}
    try:
        return channel.render(trial, TrialValues(TrialRun(), trial_roots({})), marketing)
    except RenderError:
        return None


class _Outcome(NamedTuple):
    run: TrialRun
    error: RenderError | None


def check_sendable(
    compiled: CompiledTemplates, channel: ChannelDefinition, marketing: bool, known: Mapping[str, str] | None = None
) -> list[Finding]:
    """Returns what never renders (errors) and what may fail for some values (warnings), in each field.

    `known`: what the campaign itself says of variables, by path.
    """
    findings: list[Finding] = []
    for field in compiled:
        findings += _FieldTrial(compiled, channel, marketing, field, known or {}).findings()
    if not any(each.severity is Severity.ERROR for each in findings):
        trial = {name: compile_trial(each.source, each.html, name) for name, each in compiled.items()}
        if (
            error := _least_error(trial, channel, marketing, TrialRun(), known or {})
        ) is not None and error.field is None:
            error.locate("")
            findings.append(error.to_finding())
    return findings


def _least_error(
    trial: Mapping[str, TrialTemplate],
    channel: ChannelDefinition,
    marketing: bool,
    run: TrialRun,
    known: Mapping[str, str],
) -> RenderError | None:
    """Returns the first error if none of the fills is rendered. `run` becomes the run that succeeded, or the first."""
    first: RenderError | None = None
    fills = _FILLS if not run.values else _FILLS[:1]
    for fill in (*fills, ""):
        if fill == "" and (first is None or first.code != "too_long"):
            break  # an empty value saves only what is too long
        tried = TrialRun(run.prefix, fill, run.values, known=dict(run.known), is_forced=run.is_forced)
        error = _render(trial, channel, marketing, tried, known)
        if first is None or error is None or fill == "":
            run.fill, run.decisions, run.known = fill, tried.decisions, tried.known
            run.paths, run.tested, run.pieces = tried.paths, tried.tested, tried.pieces
        if error is None:
            return None
        first = error if fill == "" else first or error
    return first


def _render(
    trial: Mapping[str, TrialTemplate],
    channel: ChannelDefinition,
    marketing: bool,
    run: TrialRun,
    known: Mapping[str, str],
) -> RenderError | None:
    try:
        channel.render(trial, TrialValues(run, trial_roots(known)), marketing)
    except RenderError as error:
        return error
    return None


class _FieldTrial:
    """The trials of one field."""

    def __init__(
        self,
        compiled: CompiledTemplates,
        channel: ChannelDefinition,
        marketing: bool,
        field: str,
        known: Mapping[str, str],
    ) -> None:
        self._known = known
        samples = channel.compile_templates(channel.sample_content)
        templates = {**samples, field: compiled[field]}
        self._trial = {name: compile_trial(each.source, each.html, name) for name, each in templates.items()}
        self._channel, self._marketing, self._field = channel, marketing, field
        self._template = self._trial[field]

    def findings(self) -> list[Finding]:
        """Returns the findings about the field, each once."""
        outcomes = list(self._explore())
        certain: dict[tuple[Any, ...], Finding] = {}
        for each in self._certain_findings(outcomes):
            certain.setdefault((each.code, each.line, each.column, each.severity), each)
        return [*certain.values(), *self._value_findings(outcomes)]

    def _explore(self) -> Iterator[_Outcome]:
        """Renders once for each branch, and for combinations of branches while runs are left."""
        pending: list[tuple[int, ...]] = [()]
        seen: set[tuple[int, ...]] = set()
        runs = 0
        most = max(1, min(MAX_RUNS, MAX_READS // max(1, len(self._template.variables()))))
        while pending and runs < most:
            run = TrialRun(pending.pop(0))
            error = _least_error(self._trial, self._channel, self._marketing, run, self._known)
            runs += 1
            yield _Outcome(run, error)
            results = tuple(each.result for each in run.decisions)
            for place in range(len(run.prefix), len(results)):
                others = (0, 2) if run.decisions[place].condition.startswith("for ") else (1 - results[place],)
                for other in others:
                    prefix = (*results[:place], other)
                    if prefix not in seen:
                        seen.add(prefix)
                        pending.append(prefix)

    def _certain_findings(self, outcomes: list[_Outcome]) -> Iterator[Finding]:
        """What fails in every branch, or whenever one branch is taken, is an error; other failures are warnings."""
        failed = [each for each in outcomes if each.error is not None]
        if len(failed) == len(outcomes):
            yield from (self._finding(each, None) for each in failed[:1])
            return
        succeeded = {decision[:2] for each in outcomes if each.error is None for decision in each.run.decisions}
        for each in failed:
            causes = [decision for decision in each.run.decisions if decision[:2] not in succeeded]
            yield self._finding(each, causes[0] if causes else None, certain=bool(causes))

    def _finding(self, outcome: _Outcome, cause: BranchDecision | None, certain: bool = True) -> Finding:
        error = outcome.error
        assert error is not None
        place, variable = self._place(outcome)
        error.field = error.field or self._field
        error.locate("")
        refuses = certain and (
            cause is None or self._refuses(error, cause, error.line is not None or place is not None)
        )
        detail = error.detail
        if error.code == "too_long" and outcome.run.fill == "" and self._template.variables():
            detail += ", not counting its variables"
        if error.line is None and place is not None:
            detail = f"line {place[0]}, column {place[1]}: {detail}"
        if cause is not None:
            detail += f", {_when(cause)}"
        elif not certain:
            detail += ", with some results of its conditions"
        finding = error.to_finding()
        line, column = (finding.line, finding.column) if finding.line else place or (None, None)
        return msgspec.structs.replace(
            finding,
            detail=detail,
            line=line or 1,
            column=column or 1,
            severity=Severity.ERROR if refuses else Severity.WARNING,
            variable=finding.variable or variable or (None if cause is None or refuses else cause.variable),
            suggestion=finding.suggestion or _remedy_of(error),
        )

    def _refuses(self, error: RenderError, cause: BranchDecision, is_located: bool) -> bool:
        """Whether a branch that always fails refuses the content. A branch that writes nothing, and the number of a
        loop's items, depend on values: they warn.
        """
        if error.code == "empty" or (cause.condition.startswith("for ") and cause.result != 1):
            return False
        return cause.result == 1 or is_located

    def _place(self, outcome: _Outcome) -> tuple[tuple[int, int] | None, str | None]:
        """Returns (line, column) of the error in the source, and the variable that wrote the text there."""
        error, source = outcome.error, self._template.source
        assert error is not None
        if error.offset is not None:
            pieces = [each for each in outcome.run.pieces.get(self._field, ()) if each.start <= error.offset]
            if not pieces:
                return (1, 1), None
            piece = pieces[-1]
            index = piece.source_index if piece.path else piece.source_index + error.offset - piece.start
            return line_and_column(source, min(index, len(source))), piece.path
        if error.excerpt and (index := source.lower().find(error.excerpt.lower()[:40])) >= 0:
            return line_and_column(source, index), None
        if error.excerpt and (index := source.lower().find(error.excerpt.lower().partition(":")[0])) >= 0:
            return line_and_column(source, index), None
        return None, None

    def _value_findings(self, outcomes: list[_Outcome]) -> Iterator[Finding]:
        """Warns of each variable that makes the message fail with some values."""
        runs: dict[str, TrialRun] = {}
        for each in outcomes:
            if each.error is None:
                for path, field in [*each.run.paths.items(), *each.run.tested.items()]:
                    if field == self._field:
                        runs.setdefault(path, each.run)
        left = MAX_READS // max(1, len(runs))
        distinct_runs = list({id(run): run for run in runs.values()}.values())
        left -= len(distinct_runs) * len(_HAZARDS)
        harmless = self._harmless_hazards(distinct_runs) if left > 0 else set()
        untried: list[str] = []
        for path, run in runs.items():
            found: dict[str, RenderError] = {}
            hazards = [
                hazard
                for number, hazard in enumerate(_HAZARDS)
                if (number not in harmless or path in run.tested) and hazard in _KNOWN_HAZARDS.get(path, _HAZARDS)
            ]
            left -= len(hazards)
            if hazards and left < 0:
                untried.append(path)
                continue
            for hazard in hazards:
                error = self._try(run, {path: hazard})
                if error is not None and (path in run.paths or error.code in ("wrong_type", "undefined")):
                    found.setdefault(_describe_hazard(hazard, error), error)
            if found:
                yield self._warning(path, found)
        if untried:
            yield self._untried_warning(untried)

    def _harmless_hazards(self, runs: list[TrialRun]) -> set[int]:
        """Returns the hazards (by number) that fail nowhere although all variables have them, so that most variables
        need no renderings of their own.
        """
        return {
            number
            for number, hazard in enumerate(_HAZARDS)
            if all(
                self._try(run, dict.fromkeys([*run.paths, *run.tested], hazard), is_forced=True) is None for run in runs
            )
        }

    def _try(self, base: TrialRun, values: Mapping[str, Any], is_forced: bool = False) -> RenderError | None:
        fields = base.tested | base.paths
        own = {path: value for path, value in values.items() if fields.get(path) == self._field}
        run = TrialRun((), base.fill, own, known=dict(base.known), is_forced=is_forced)
        return _render(self._trial, self._channel, self._marketing, run, self._known)

    def _untried_warning(self, paths: Sequence[str]) -> Finding:
        """Says that some variables were not tried, because there are too many."""
        line, column = line_and_column(self._template.source, self._template.first_use(paths[0]))
        count = f"{len(paths)} of the variables" if len(paths) > 1 else "one of the variables"
        detail = f"line {line}, column {column}: from `{paths[0]}` on, {count} could not be tried: there are too many"
        return Finding(f"/{self._field}", "not_tried", detail, line, column, severity=Severity.WARNING)

    def _warning(self, path: str, found: Mapping[str, RenderError]) -> Finding:
        said = ("is ", _MANY_ITEMS)
        words = (_REASONS.get(code, code if code.startswith(said) else "does not fit") for code in found)
        reasons = list(dict.fromkeys(words))
        listed = reasons[0] if len(reasons) == 1 else f"{', '.join(reasons[:-1])} or {reasons[-1]}"
        index = self._template.first_use(path)
        line, column = line_and_column(self._template.source, max(index, 0))
        remedy = next((_REMEDIES[code] for code in found if code in _REMEDIES), None)
        detail = f"line {line}, column {column}: the message fails where `{path}` {listed}"
        return Finding(
            f"/{self._field}",
            "may_fail",
            detail,
            line,
            column,
            suggestion=remedy.format(path) if remedy else None,
            severity=Severity.WARNING,
            variable=path,
        )


def _describe_hazard(hazard: object, error: RenderError) -> str:
    """What a value is that makes the message fail, in words, or the code of the error."""
    if hazard is MANY:
        return _MANY_ITEMS
    if error.code == "wrong_type":
        return f"is {error.found}" if error.found else "does not fit"
    return error.code


def _when(decision: BranchDecision) -> str:
    if decision.condition.startswith("for "):
        count = {0: "no item", 1: "one item", 2: "two items"}[decision.result]
        return f"when `{decision.condition}` has {count}"
    return f"when `{decision.condition}` is {'true' if decision.result else 'false'}"


def _remedy_of(error: RenderError) -> str | None:
    match error.code:
        case "control_character":
            return "write it on one line; `{%- ... -%}` takes white space away"
        case "too_long":
            return "shorten the text"
        case "undefined":
            return 'give it a default: `| default: "..."`'
        case "unsafe_link":
            return "use a link of an allowed kind, such as `https://...`"
        case "wrong_type" if error.found == "text" and "`date`" in error.detail and error.variable is None:
            return "write `{{ now | date: ... }}` for the time of sending"
    return None

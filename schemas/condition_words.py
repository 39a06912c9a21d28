"""The failure of a condition in words, from the evidence that a verdict keeps of it."""

from collections.abc import Mapping
from typing import Any, Final

from schemas.rule_registry import Remedy
from schemas.words import bare_kind_words, kind_words

SENDER_OF_DATA: Final = "whoever sends the data"
_COMPARISONS: Final = frozenset({"<", "<=", ">", ">="})


def describe_condition_failure(evidence: Mapping[str, Any]) -> str | None:
    """`compares `customer.traits.days` (text) with a number, at line 1, column 17`; None without a kept cause."""
    if "line" not in evidence:
        return None
    variable = f"`{evidence['variable']}`" if "variable" in evidence else ""
    if "found" in evidence:
        found, expected = bare_kind_words(evidence["found"]), kind_words(evidence["expected"])
        what = f"{variable} ({found})" if variable else f"a value ({found})"
        if evidence["operation"] in _COMPARISONS:
            text = f"compares {what} with {expected}"
        elif evidence["operation"] == "the condition":
            text = f"gives {what} and not {expected}"
        elif str(evidence["operation"]).startswith("."):
            text = f"reads the field `{evidence['operation'][1:]}` of {what}, which is no object"
        else:
            text = f"uses {what} where `{evidence['operation']}` needs {expected}"
    else:
        text = f"{evidence['problem']} at `{evidence['operation']}`" + (f", with {variable}" if variable else "")
    return f"{text}, at line {evidence['line']}, column {evidence['column']}"


def condition_remedies(evidence: Mapping[str, Any]) -> list[Remedy]:
    """Who can mend a condition that failed, or the data it failed on."""
    edit = Remedy("a marketer", "changes the condition")
    if "variable" not in evidence or "found" not in evidence:
        return [edit]
    return [Remedy(SENDER_OF_DATA, f"sends `{evidence['variable']}` as {kind_words(evidence['expected'])}"), edit]

"""docs/mutation.md: which survivors are known and why, and the counts of the last run."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

DOCUMENT = Path("docs/mutation.md")
BEGIN, END = "<!-- begin: made by make mutants -->\n", "<!-- end: made by make mutants -->"
SURVIVOR = re.compile(r"^\| `(?P<file>[^`]+)` \| `(?P<name>.+)` \| (?P<reason>.+) \|$", re.MULTILINE)
COUNTED = re.compile(r"^\| `(?P<file>[^`]+)` \| (?P<date>\S+) \| (?P<all>\d+) \| (?P<killed>\d+) \|", re.MULTILINE)


class Count(NamedTuple):
    """Of one file: the day of its run, all mutants, and those that a test noticed."""

    date: str
    all: int
    killed: int


def known(text: str) -> dict[str, Counter[str]]:
    """By file the survivors that the document has a reason for."""
    found: dict[str, Counter[str]] = {}
    for match in SURVIVOR.finditer(text):
        found.setdefault(match["file"], Counter())[match["name"].replace("\\|", "|")] += 1
    return found


def row(file: str, name: str, reason: str = "?") -> str:
    """The line of the document for a survivor."""
    return f"| `{file}` | `{name.replace('|', chr(92) + '|')}` | {reason} |"


def today() -> str:
    """The day in UTC."""
    return datetime.now(UTC).date().isoformat()


def counted(text: str, new: Mapping[str, Count], order: Sequence[str]) -> str:
    """The document with the counts of these files put anew, and those of files that are gone left out."""
    before, _, rest = text.partition(BEGIN)
    old, _, after = rest.partition(END)
    counts = {m["file"]: Count(m["date"], int(m["all"]), int(m["killed"])) for m in COUNTED.finditer(old)}
    counts.update(new)
    rows = [(file, counts[file]) for file in order if file in counts]
    total = Count("", sum(each.all for _, each in rows), sum(each.killed for _, each in rows))
    lines = [
        "| file | run | mutants | killed | survivors |",
        "|---|---|---|---|---|",
        *(f"| `{file}` | {each.date} | {each.all} | {each.killed} | {each.all - each.killed} |" for file, each in rows),
        f"| all | | {total.all} | {total.killed} | {total.all - total.killed} |",
    ]
    return before + BEGIN + "\n" + "\n".join(lines) + "\n\n" + END + after

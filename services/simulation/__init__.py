"""`tactful simulate`: files in, decisions out. Wiring only; every rule is the one that production runs."""

from services.simulation.difference_page import draw
from services.simulation.input_files import (
    BadInput,
    read_campaigns,
    read_customers,
    read_events,
    read_policy,
    read_suppressions,
)
from services.simulation.runs import Input, Summary, compare, decide_all, run

__all__ = [
    "BadInput",
    "Input",
    "Summary",
    "compare",
    "decide_all",
    "draw",
    "read_campaigns",
    "read_customers",
    "read_events",
    "read_policy",
    "read_suppressions",
    "run",
]

"""`tactful simulate`: decides recorded events from files, with the production rules."""

from services.simulation.difference_page import render_difference
from services.simulation.input_files import (
    BadInput,
    read_campaigns,
    read_customers,
    read_events,
    read_policy,
    read_suppressions,
)
from services.simulation.processes import useful_processes
from services.simulation.runs import SimulationFiles, SimulationSummary, simulate, simulate_and_compare, simulate_files

__all__ = [
    "BadInput",
    "SimulationFiles",
    "SimulationSummary",
    "read_campaigns",
    "read_customers",
    "read_events",
    "read_policy",
    "read_suppressions",
    "render_difference",
    "simulate",
    "simulate_and_compare",
    "simulate_files",
    "useful_processes",
]

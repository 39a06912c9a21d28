"""Writes the parts of deploy/.env.example and docs/configuration.md that follow from the channels and adapters, and of
docs/api.md that follow from the routes.

`python -m services.development.generated_files`, part of `make schemas`. Each part is between two marker lines of its
file; the rest of the file is written by hand.
"""

from collections.abc import Iterator
from pathlib import Path
from textwrap import wrap
from typing import Final, NamedTuple

from schemas.adapter_registry import ADAPTER_REGISTRY, AdapterDeclaration
from schemas.channel_registry import CHANNEL_REGISTRY, ChannelDeclaration
from services.deployment_settings import DeploymentSettings
from services.development import api_reference
from services.kit.runtime.settings import list_setting_origins
from services.orchestrator.settings import section_of

ROOT: Final = Path(__file__).parents[2]
LINE_LENGTH: Final = 118
"""Characters of a line of explanation in deploy/.env.example, after `# `."""


class GeneratedPart(NamedTuple):
    """Lines of a file, relative to the root of the source tree, after a line that begins with `first` and before the
    next line that begins with `after`.
    """

    file: str
    first: str
    after: str
    lines: tuple[str, ...]


def generated_parts() -> tuple[GeneratedPart, ...]:
    """All parts, as they should be."""
    return (
        GeneratedPart("deploy/.env.example", "# --- adapters", "# ---", (*_adapter_settings(), "")),
        GeneratedPart("docs/configuration.md", "<!-- channels", "<!-- end", tuple(_channel_table())),
        GeneratedPart("docs/configuration.md", "<!-- adapters", "<!-- end", tuple(_adapter_table())),
        *_api_parts(),
    )


def _api_parts() -> Iterator[GeneratedPart]:
    api = api_reference.describe_api()
    parts = {
        "operations": api_reference.operation_lines(api.document),
        "schemas": api_reference.schema_lines(api.document),
        "errors": api_reference.error_lines(),
        "roles": (*api_reference.role_lines(api.access), "", *api_reference.public_lines(api.access)),
    }
    for name, lines in parts.items():
        yield GeneratedPart("docs/api.md", f"<!-- {name}", "<!-- end", tuple(lines))


def with_part(text: str, part: GeneratedPart) -> str:
    """The text of a file with a part written anew. Raises ValueError if a marker is missing."""
    lines = text.splitlines()
    begins = [number for number, line in enumerate(lines) if line.startswith(part.first)]
    if len(begins) != 1:
        raise ValueError(f"{part.file} needs one line that begins with `{part.first}`")
    start = begins[0] + 1
    ends = [number for number in range(start, len(lines)) if lines[number].startswith(part.after)]
    if not ends:
        raise ValueError(f"{part.file} has no line that begins with `{part.after}` after `{part.first}`")
    return "\n".join([*lines[:start], *part.lines, *lines[ends[0] :]]) + "\n"


def write_generated_parts() -> None:
    """Write all parts into their files."""
    for part in generated_parts():
        path = ROOT / part.file
        path.write_text(with_part(path.read_text("utf-8"), part), "utf-8")


def _adapter_settings() -> Iterator[str]:
    """The adapter of each channel, then the settings of channels and adapters, with their defaults."""
    values = {item.name: item.value for item in list_setting_origins(DeploymentSettings.model_construct())}
    adapters = ADAPTER_REGISTRY.declarations.values()
    choices = f"Which adapter serves a channel: {', '.join(map(_with_summary, adapters))}."
    yield from (f"# {line}" for line in wrap(choices, LINE_LENGTH))
    yield from (
        f"{name}={values[name]}" for name in (_variable("adapters", id) for id in CHANNEL_REGISTRY.declarations)
    )
    extensions: list[ChannelDeclaration | AdapterDeclaration] = [*CHANNEL_REGISTRY.declarations.values(), *adapters]
    for extension in extensions:
        yield from (f"# {line}" for line in extension.sample)
        names = [_variable(extension.id, field) for field in section_of(extension).model_fields]
        yield from (f"{name}={values[name]}" for name in names)


def _with_summary(adapter: AdapterDeclaration) -> str:
    return f"{adapter.id} ({adapter.summary})" if adapter.summary else adapter.id


def _channel_table() -> Iterator[str]:
    columns = ("channel", "in the console", "needs an address of the customer", "counts in caps that name no channels")
    yield f"| {' | '.join(columns)} | stage | settings |"
    yield "|---|---|---|---|---|---|"
    for channel in CHANNEL_REGISTRY.declarations.values():
        counts = _yes_or_no(channel.counts_in_general_caps)
        row = f"| `{channel.id}` | {channel.label} | {_yes_or_no(channel.needs_address)} | {counts}"
        yield f"{row} | {channel.stage} | {_setting_names(channel)} |"


def _adapter_table() -> Iterator[str]:
    destinations = {
        "provider": "to the provider",
        "customer": "to the customer",
        "inbox": "into this installation",
        "nowhere": "nowhere",
    }
    yield "| adapter | messages go | channels | settings |"
    yield "|---|---|---|---|"
    for adapter in ADAPTER_REGISTRY.declarations.values():
        channels = "all" if adapter.channels is None else ", ".join(f"`{id}`" for id in sorted(adapter.channels))
        yield f"| `{adapter.id}` | {destinations[adapter.destination]} | {channels} | {_setting_names(adapter)} |"


def _setting_names(extension: AdapterDeclaration | ChannelDeclaration) -> str:
    names = ", ".join(f"`{_variable(extension.id, field)}`" for field in section_of(extension).model_fields)
    return names or "none"


def _variable(section: str, field: str) -> str:
    return f"TACTFUL_{section}__{field}".upper()


def _yes_or_no(value: bool) -> str:
    return "yes" if value else "no"


if __name__ == "__main__":
    write_generated_parts()

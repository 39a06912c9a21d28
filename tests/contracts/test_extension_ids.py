"""Extensions are named only in their own folders: adding, renaming or removing one edits no other code.

An adapter's folder may name the channels that it serves, and so may its counterpart in the provider lab. The test looks
at string constants, import paths and templates. Documents, campaigns, examples, migrations and tests may name
extensions.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.adapter_registry import ADAPTER_REGISTRY
from schemas.channel_registry import CHANNEL_REGISTRY
from schemas.extensions import ExtensionRegistry

ROOT = Path(__file__).parents[2]
CODE = ("schemas", "services", "tactful")
ADAPTERS = "services/orchestrator/delivery/adapters"
PLAYED = "services/lab/providers"
REGISTRIES: dict[str, ExtensionRegistry[Any]] = {
    "services/orchestrator/delivery/channels": CHANNEL_REGISTRY,
    ADAPTERS: ADAPTER_REGISTRY,
}
ALLOWED = {
    "schemas/generate.py": {"null": "a type of JSON Schema"},
    "schemas/event_schema.py": {"null": "a type of JSON Schema"},
    "schemas/documents.py": {"null": "a value of YAML"},
    "schemas/words.py": {"null": "a value of JSON"},
    "services/orchestrator/retention/retention_rules.py": {"sandbox": "the name of a setting"},
    "services/orchestrator/campaigns/api.py": {"email": "an example of the API"},
    "services/preference/api.py": dict.fromkeys(("email", "sms"), "examples of the API"),
    "services/preference/addresses/api.py": {"email": "an example of the API"},
    "services/preference/consents/api.py": {"email": "an example of the API"},
    "services/suppression/api/entry_routes.py": {"email": "an example of the API"},
    "services/suppression/api/hold_routes.py": {"email": "an example of the API"},
    "services/development/api_reference.py": {"null": "a type of JSON Schema"},
    "services/kit/http/openapi.py": {"null": "a type of JSON Schema"},
    "services/condition/syntax.py": {"null": "a literal of conditions"},
    "services/condition/values.py": {"null": "a type of conditions"},
    "services/template/html.py": {"sms": "a scheme of links"},
    "schemas/contact_channels.py": dict.fromkeys(("chat", "social", "letter"), "channels of other tools as well"),
    "services/orchestrator/console/inbox_page.py": {"sandbox": "shows what this adapter has stored"},
    "services/orchestrator/delivery/adapters/mail_api.py": {"email": "composes mails for all providers of them"},
    f"{ADAPTERS}/own_receipts.py": {"webhook": "how headers of Standard Webhooks begin"},
    f"{ADAPTERS}/attachment_fetcher.py": {"email": "fetches files for all providers of mails"},
    "services/orchestrator/console/templates/redrive-job.html": {"letter": "the id of a dead letter"},
    "services/kit/db/tables.py": {"letter": "the id of a dead letter"},
    "services/orchestrator/dead_letters/store.py": {"letter": "the id of a dead letter"},
    "services/orchestrator/dead_letters/tables.py": {"letter": "the id of a dead letter"},
    "tactful/dlq_command.py": {"letter": "the id of a dead letter"},
    f"{ADAPTERS}/fcm/message.py": dict.fromkeys(("apns", "webpush"), "parts of FCM's messages"),
    "services/development/demo_outcomes.py": {
        "sandbox": "plays the customers' side of this adapter",
        "webhook": "the provider of the lab with Tactful's own form of receipts",
        **dict.fromkeys(("email", "sms", "push"), "sample data"),
    },
    "services/development/dev_settings.py": {
        "sandbox": "the demo's receipts are for this adapter",
        "webhook": "the provider of the lab with Tactful's own form of receipts",
    },
    "services/development/imaginary_shop.py": dict.fromkeys(("email", "sms", "push", "in_app"), "sample data"),
    "services/simulation/generated_year.py": dict.fromkeys(("email", "sms", "push"), "sample data"),
    "services/orchestrator/console/static/htmx.min.js": {"push": "an operation of browser history"},
}
"""File -> the ids that it may name, and why."""


def is_data(path: Path) -> bool:
    return "migrations" in path.parts


def named_ids(path: Path, ids: frozenset[str], package: str) -> Iterator[str]:
    """The ids that a file names."""
    text = path.read_text("utf-8")
    if path.suffix != ".py":
        yield from (id for id in ids if re.search(rf"""["']{id}["']""", text))
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in ids:
            yield node.value
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{package}"):
            names = [*(node.module or "").removeprefix(package).split("."), *(alias.name for alias in node.names)]
            yield from ids.intersection(names)
        if isinstance(node, ast.Attribute) and node.attr.lower() in ids and node.attr.isupper():
            yield node.attr.lower()


def own_ids(name: str, folder: str) -> frozenset[str]:
    """What a file may name because of where it is: its own id, and the channels that its adapter serves."""
    parts = name.split("/")
    ids = {parts[4]} if name.startswith(f"{folder}/") and len(parts) > 5 else set()
    adapter = parts[4] if parts[:4] == ADAPTERS.split("/") else ""
    if name.startswith(f"{PLAYED}/"):
        adapter = Path(name).stem
        ids.add(adapter)
    declaration = ADAPTER_REGISTRY.declarations.get(adapter)
    return frozenset(ids | (declaration.channels or set() if declaration is not None else set()))


@pytest.mark.parametrize("folder", REGISTRIES)
def test_no_code_names_an_extension_of_another_folder(folder: str) -> None:
    ids, package = frozenset(REGISTRIES[folder].declarations), folder.replace("/", ".")
    wrong = set()
    for top in CODE:
        for path in sorted((ROOT / top).rglob("*")):
            if path.suffix not in (".py", ".html", ".js") or is_data(path):
                continue
            name = path.relative_to(ROOT).as_posix()
            allowed = own_ids(name, folder) | ALLOWED.get(name, {}).keys()
            wrong |= {f"{name}: {id}" for id in named_ids(path, ids, package) if id not in allowed}
    assert not wrong, "\n".join(sorted(wrong))

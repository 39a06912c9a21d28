"""pytest plugin (`-p tests.extensions.register`): adds the example extensions before anything reads the registries.

The set of extensions is fixed for the life of a process, so tests with the examples run in a process of their own.
"""

from schemas.adapter_registry import ADAPTER_REGISTRY
from schemas.channel_registry import CHANNEL_REGISTRY

CHANNEL_REGISTRY.add_package("tests.extensions.channels")
ADAPTER_REGISTRY.add_package("tests.extensions.adapters")

# Its import reads the channels, so theirs must have been added.
from schemas.rule_registry import RULE_REGISTRY  # noqa: E402

RULE_REGISTRY.add_package("tests.extensions.rules")

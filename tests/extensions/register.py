"""pytest plugin (`-p tests.extensions.register`): adds the example extensions before anything reads the registries.

The set of extensions is fixed for the life of a process, so tests with the examples run in a process of their own.
"""

from schemas.rule_registry import RULE_REGISTRY

RULE_REGISTRY.add_package("tests.extensions.rules")

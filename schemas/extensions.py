"""Registries of extensions: the rules, channels and adapters of an installation, one folder each.

An extension is a package `<parent package>.<id>` with a module `declaration` that holds the constant `DECLARATION`:
plain data that every process needs, such as the id, labels and settings. Its code is in the other modules of the
package and is imported only by the processes that run it, through `ExtensionRegistry.load_module`. So a declaration
imports little: the standard library, pydantic, `schemas`, and an adapter's also the base class of settings.

Extensions are found by scanning the parent package; there is no list to edit. An extension that lives outside the
source tree is added with `add_package`, before anything reads the registry. From then on the set is fixed for the life
of the process: enumerations, metric labels and JSON Schemas are built from it once.
"""

import importlib
import pkgutil
import re
from collections.abc import Mapping
from types import MappingProxyType, ModuleType
from typing import Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict

_ID = re.compile(r"[a-z][a-z0-9_]{0,29}")


class ExtensionError(RuntimeError):
    """An extension cannot be registered. This is a fault of the code, found when the process starts."""


class NoSettings(BaseModel):
    """The settings of an extension that has none."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Declaration(Protocol):
    """What the declarations of all kinds of extension have in common."""

    @property
    def id(self) -> str:
        """The name of its folder; also its name in documents, settings, labels and stored data."""

    @property
    def order(self) -> int:
        """Its place among the others, in lists and in the order of evaluation; smaller comes first."""


D = TypeVar("D", bound=Declaration)


class ExtensionRegistry(Generic[D]):
    """The extensions of one kind."""

    def __init__(self, declaration_type: type[D], built_in_package: str) -> None:
        self._type = declaration_type
        self._packages = [built_in_package]
        self._declarations: Mapping[str, D] | None = None
        self._modules: dict[str, str] = {}

    def add_package(self, package: str) -> None:
        """Look for extensions in another package, too. Raises ExtensionError once the registry has been read."""
        if self._declarations is not None:
            raise ExtensionError(f"{package} comes too late: the extensions of this kind have been read")
        self._packages.append(package)

    @property
    def added_packages(self) -> tuple[str, ...]:
        """The packages that were added, in order; another process of the same installation adds them as well."""
        return tuple(self._packages[1:])

    @property
    def declarations(self) -> Mapping[str, D]:
        """All declarations by id, in their order. Raises ExtensionError for one that is unusable."""
        if self._declarations is None:
            modules: dict[str, str] = {}
            found = [declaration for package in self._packages for declaration in self._scan(package, modules)]
            self._modules = modules
            self._declarations = MappingProxyType({each.id: each for each in sorted(found, key=_sort_key)})
        return self._declarations

    def load_module(self, id: str, name: str) -> ModuleType:
        """A module of the extension's own folder."""
        assert id in self.declarations, id
        return importlib.import_module(f"{self._modules[id]}.{name}")

    def _scan(self, package: str, modules: dict[str, str]) -> list[D]:
        found = []
        for folder in pkgutil.iter_modules(importlib.import_module(package).__path__):
            if not folder.ispkg:
                continue  # code that the extensions of this kind share
            name = f"{package}.{folder.name}"
            declaration = getattr(importlib.import_module(f"{name}.declaration"), "DECLARATION", None)
            if not isinstance(declaration, self._type):
                raise ExtensionError(f"{name}.declaration.DECLARATION is not a {self._type.__name__}")
            if declaration.id != folder.name or not _ID.fullmatch(declaration.id):
                raise ExtensionError(f"{name}: the id `{declaration.id}` is not the name of the folder, or is unusable")
            if declaration.id in modules:
                raise ExtensionError(f"{name} and {modules[declaration.id]} have the same id")
            modules[declaration.id] = name
            found.append(declaration)
        return found


def _sort_key(declaration: Declaration) -> tuple[int, str]:
    return declaration.order, declaration.id

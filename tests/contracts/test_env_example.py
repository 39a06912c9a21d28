"""deploy/.env.example lists every setting with its default, and a word on each."""

from itertools import pairwise
from pathlib import Path

from services.deployment_settings import DeploymentSettings
from services.kit.runtime.settings import (
    CONFIG_VARIABLE,
    SECRETS_DIR_VARIABLE,
    known_variables,
    list_setting_origins,
)

LINES = (Path(__file__).parents[2] / "deploy" / ".env.example").read_text("utf-8").splitlines()
SET = dict(line.split("=", 1) for line in LINES if line and not line.startswith("#"))


def test_every_setting_is_there_and_no_other() -> None:
    assert set(SET) == known_variables(DeploymentSettings)


def test_the_values_are_the_defaults() -> None:
    defaults = {item.name: item.value for item in list_setting_origins(DeploymentSettings.model_construct())}
    assert defaults | {CONFIG_VARIABLE: "", SECRETS_DIR_VARIABLE: ""} == SET


def test_every_setting_or_its_group_is_explained() -> None:
    for before, line in pairwise(LINES):
        if line.startswith("TACTFUL_"):
            group = line.split("__")[0]
            assert before.startswith(("# ", f"{group}__")), line

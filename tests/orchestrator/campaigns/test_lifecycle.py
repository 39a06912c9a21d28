"""The life of a version, as a table of every status and every action."""

from collections.abc import Sequence
from itertools import product

import pytest

from schemas.four_eyes import Actor, KeyOrigin
from schemas.vocabulary import CampaignStatus as Status
from services.kit.errors import Conflict, Forbidden
from services.orchestrator.campaigns.lifecycle import (
    CAMPAIGN_TRANSITIONS,
    POLICY_TRANSITIONS,
    LifecycleAction,
    check_four_eyes,
    next_status,
)

ALLOWED = [
    ("draft", "submit", "submitted"),
    ("submitted", "approve", "approved"),
    ("submitted", "reject", "draft"),
    ("approved", "reject", "draft"),
    ("approved", "activate", "active"),
    ("approved", "shadow", "shadow"),
    ("shadow", "activate", "active"),
    ("shadow", "reject", "draft"),
    ("shadow", "stop", "stopped"),
    ("active", "pause", "paused"),
    ("active", "stop", "stopped"),
    ("paused", "activate", "active"),
    ("paused", "stop", "stopped"),
]


@pytest.mark.parametrize("before, action, expected", ALLOWED)
def test_an_allowed_action_leads_on(before: str, action: str, expected: str) -> None:
    assert next_status(CAMPAIGN_TRANSITIONS, "it", Status(before), LifecycleAction(action)) == expected


@pytest.mark.parametrize(
    "before, action",
    [
        pair
        for pair in product(Status, LifecycleAction)
        if pair not in [(Status(a), LifecycleAction(b)) for a, b, _ in ALLOWED]
    ],
)
def test_any_other_action_is_a_wrong_state_that_names_what_is_possible(before: Status, action: LifecycleAction) -> None:
    with pytest.raises(Conflict) as caught:
        next_status(CAMPAIGN_TRANSITIONS, "version 3", before, action)
    assert caught.value.code == "wrong_state"
    assert f"version 3 is {before}" in caught.value.detail
    for status, possible, _ in ALLOWED:
        if status == before:
            assert possible in caught.value.detail


def test_a_policy_is_neither_paused_nor_stopped() -> None:
    assert {action for _, action in POLICY_TRANSITIONS} == set(LifecycleAction) - {
        LifecycleAction.PAUSE,
        LifecycleAction.STOP,
    }


@pytest.mark.parametrize(
    "editor, approver, own",
    [
        ("ada", "ada", True),
        ("Ada  Lovelace", "ada lovelace ", True),  # a person does not become another one by case or blanks
        ("ada", "grace", False),
    ],
)
def test_nobody_approves_their_own_edit(editor: str, approver: str, own: bool) -> None:
    if not own:
        return check_four_eyes("it", Actor(editor), Actor(approver))
    with pytest.raises(Forbidden) as caught:
        check_four_eyes("it", Actor(editor), Actor(approver))
    assert caught.value.code == "own_edit"
    return None


def keys_of(made: Sequence[tuple[str, str]]) -> list[KeyOrigin]:
    """Keys of an earlier version, by name and maker."""
    return [KeyOrigin(f"key_{number}", name, None, maker, None) for number, (name, maker) in enumerate(made)]


MADE = keys_of([("ada", "admin"), ("eve", "admin"), ("zoe", "eve"), ("mallory", "ada"), ("mallory-2", "mallory")])
"""Keys, each with whoever made it."""


@pytest.mark.parametrize(
    "editor, approver, own",
    [
        ("ada", "eve", False),  # the same admin has made both their keys, and acts with neither
        ("ada", "mallory", True),
        ("ada", "MALLORY", True),
        ("ada", "mallory-2", True),  # made by a key that the editor made
        ("mallory", "ada", True),  # the other direction
        ("mallory-2", "ada", True),
        ("admin", "zoe", True),
        ("zoe", "admin", True),
        ("mallory", "zoe", False),
    ],
)
def test_nobody_approves_with_a_key_that_the_editor_made(editor: str, approver: str, own: bool) -> None:
    if not own:
        return check_four_eyes("it", Actor(editor), Actor(approver), MADE)
    with pytest.raises(Forbidden) as caught:
        check_four_eyes("it", Actor(editor), Actor(approver), MADE)
    assert caught.value.code == "own_edit"
    return None


def test_keys_that_made_each_other_end_the_search() -> None:
    check_four_eyes("it", Actor("ada"), Actor("eve"), keys_of([("eve", "zoe"), ("zoe", "eve"), ("ada", "ada")]))

"""Which traits a campaign reads is found in every spelling that templates and conditions have."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import schemas.campaign
import schemas.policy
from schemas.documents import validate_document
from schemas.vocabulary import Class, Sensitivity
from services.orchestrator.campaigns.trait_use import (
    MAY_USE,
    find_trait_uses,
    sensitive_use_problems,
    traits_of_campaign,
)
from services.template import compile_template
from tests.support.orchestrator_app import campaign


def document(text: str = "Hello", **changes: object) -> schemas.campaign.Campaign:
    whole = campaign(content={"sms": {"en": {"text": text}}}, **changes)
    return validate_document(schemas.campaign.Campaign, whole)


def policy(**sensitivities: str) -> schemas.policy.Policy:
    traits = [{"name": name, "sensitivity": each} for name, each in sensitivities.items()]
    return validate_document(schemas.policy.Policy, {"zone": "Etc/UTC", "traits": traits})


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("{{ customer.traits.health }}", {"health"}),
        ("{{ customer.traits.health.plan }}", {"health"}),
        ("{{ customer['traits']['health'] }}", {"health"}),
        ("{{ customer.traits['with.dot'] }}", {"with.dot"}),
        ("{% if customer.traits.health %}x{% endif %}", {"health"}),
        ("{% for each in customer.traits.health %}{{ each }}{% endfor %}", {"health"}),
        ("{% assign t = customer.traits %}{{ t.health }}", {"*"}),
        ("{% assign c = customer %}{{ c.traits.health }}", {"*"}),
        ("{{ customer.traits[event.data.name] }}", {"*"}),
        ("{{ customer[event.data.name].health }}", {"*"}),
        ("{% for each in customer.traits %}{{ each }}{% endfor %}", {"*"}),
        ("{{ customer.traits.first }}", {"first", "*"}),
        # A name that is assigned only perhaps: the first use reads the customer.
        ("{% if event.data.x %}{% assign customer = 1 %}{% endif %}{{ customer.traits.health }}", {"health"}),
        ("{{ customer.id }} {{ event.data.traits.health }}", set()),
        ("{% raw %}{{ customer.traits.health }}{% endraw %}", set()),
    ],
)
def test_templates(text: str, names: set[str]) -> None:
    assert traits_of_campaign(document(text)) == names


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("customer.traits.health == 'x'", {"health"}),
        ("customer.traits['health'] == 'x'", {"health"}),
        ("has(customer.traits.health)", {"health"}),
        ("customer.traits.health.plan == 'x'", {"health", "health.plan"}),
        ("customer.traits['with.dot'] == 'x'", {"with", "with.dot"}),
        ("customer.traits[event.data.name] == 'x'", {"*"}),
        ("customer.traits.exists(k, k == 'health')", {"*"}),
        ("'health' in customer.traits", {"*"}),
        ("[customer.traits].exists(c, c.health == 'x')", {"*"}),
        ("event.data.traits.health == 'x'", set()),
    ],
)
@pytest.mark.parametrize("place", ["when", "audience"])
def test_conditions(place: str, text: str, names: set[str]) -> None:
    changes = {"audience": text} if place == "audience" else {"trigger": {"event": "shop.order", "when": text}}
    assert traits_of_campaign(document(**changes)) == names


def test_a_class_that_may_use_all_asks_no_rule() -> None:
    assert traits_of_campaign(document("{{ customer.traits.health }}", **{"class": "service"})) == set()


def test_marketing_may_use_plain_and_behavioural_traits_and_the_others_all() -> None:
    rules = policy(health="sensitive", seen="behavioural", name="plain")
    text = (
        "{{ customer.traits.name }} {{ customer.traits.seen }} {{ customer.traits.health }} {{ customer.traits.new }}"
    )
    for cls in Class:
        found = list(sensitive_use_problems(document(text, **{"class": cls.value}), rules))
        assert [each.variable for each in found] == (["customer.traits.health"] if cls is Class.MARKETING else [])
    assert MAY_USE[Class.MARKETING] == {Sensitivity.PLAIN, Sensitivity.BEHAVIOURAL}


def test_a_use_of_all_traits_is_one_of_each_that_is_refused() -> None:
    rules = policy(health="sensitive", faith="sensitive", seen="behavioural")
    found = list(sensitive_use_problems(document("{{ customer.traits[event.data.x] }}"), rules))
    assert ["`faith`" in found[0].detail, "`health`" in found[1].detail, len(found)] == [True, True, 2]
    assert (
        list(sensitive_use_problems(document("{{ customer.traits[event.data.x] }}"), policy(seen="behavioural"))) == []
    )


VALUE = "marker-value"
NAMES = st.sampled_from(["health", "name", "first", "last", "size"])


@given(trait=NAMES, spelling=st.sampled_from(["customer.traits.{}", "customer.traits['{}']", "customer['traits'].{}"]),
       wrapping=st.sampled_from(["{{{{ {} }}}}", "{{% assign x = {} %}}{{{{ x }}}}", "{{{{ {} | upcase }}}}",
                                 "{{% capture y %}}{{{{ {} }}}}{{% endcapture %}}{{{{ y }}}}"]))  # fmt: skip
def test_whatever_template_shows_a_trait_is_found_to_read_it(trait: str, spelling: str, wrapping: str) -> None:
    text = wrapping.format(spelling.format(trait))
    shown = compile_template(text, False).render({"customer": {"traits": {trait: VALUE}}, "event": {}})
    assert VALUE in shown.lower()
    names = {name for use in find_trait_uses(document(text)) for name in use.names}
    assert trait in names

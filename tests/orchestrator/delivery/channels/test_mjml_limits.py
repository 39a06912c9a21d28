"""Markup that would end the process, or keep it for seconds, is an error of that message, and soon."""

import subprocess
import sys

import pytest

from services.orchestrator.delivery.channels.email import mjml
from services.orchestrator.delivery.channels.registry import CHANNELS_BY_ID
from services.template import RenderError
from tests.support.processor_time import processor_seconds

DEADLINE = 0.15
"""Seconds of the processor. Styles of the largest mails come near to it."""


def page(inside: str) -> str:
    return (
        f"<mjml><mj-body><mj-section><mj-column><mj-text>{inside}</mj-text></mj-column></mj-section></mj-body></mjml>"
    )


DEEP = {
    name: page(f"<{name}>" * 20_000 + f"</{name}>" * 20_000) for name in ("_a", ":a", "é", "a", "A", "MJ-TEXT", "-")
}
STYLED = "<html><head><style>{}</style></head><body>{}</body></html>"


@pytest.mark.parametrize("source", DEEP.values(), ids=DEEP)
def test_no_depth_reaches_the_compiler(source: str) -> None:
    """In a process of its own: what is wrong here ends the process."""
    program = (
        "import sys\nfrom services.orchestrator.delivery.channels.email.mjml import mjml_to_html\n"
        "from services.template import RenderError\n"
        "try:\n    mjml_to_html(sys.stdin.buffer.read().decode())\n"
        "except RenderError as error:\n    print(error.code)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], input=source.encode(), capture_output=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, b"too_deep")


@pytest.mark.parametrize("name", ["_a", ":a", "é", "1a", " a"])
def test_a_name_that_no_element_can_have_is_refused(name: str) -> None:
    with pytest.raises(RenderError, match="`<` begins no element"):
        mjml.mjml_to_html(page(f"<{name}></{name}>"))


@pytest.mark.parametrize("name", ["mj-include", "MJ-INCLUDE", "Mj-Include", "MJ-TEXT", "mjx", "mj-include/"])
def test_names_outside_the_vocabulary_are_refused_in_any_case(name: str) -> None:
    with pytest.raises(RenderError, match="unknown element"):
        mjml.mjml_to_html(page(f'<{name} path="/etc/passwd">'))


def test_an_element_that_a_condition_lets_in_is_refused_when_it_is_rendered_and_named_at_save() -> None:
    source = page(
        '{% if event.data.x == "boom" %}<MJ-INCLUDE path="/etc/passwd" />{% endif %} a {{ links.unsubscribe }}'
    )
    [problem] = CHANNELS_BY_ID["email"].validate_content({"subject": "s", "mjml": source}, marketing=False)
    assert (problem.pointer, problem.code) == ("/mjml", "unknown_element")


def test_comparisons_in_conditions_are_no_elements() -> None:
    source = page("{% if event.data.x < 5 and event.data.x > 2 %}few{% endif %} {{ event.data.x }}")
    problems = CHANNELS_BY_ID["email"].validate_content({"subject": "s", "mjml": source}, marketing=False)
    assert [problem for problem in problems if problem.code == "unknown_element"] == []


ENDLESS = ["<style>" * 8_000, "<!--" * 16_000, '<a "' * 16_000, "<a " * 16_000, "<a b='" * 9_000, "<" * 60_000]


@pytest.mark.parametrize("source", [*ENDLESS, "<!--" * 12_000 + "-->", '<mj-text a="' * 5_000])
def test_tags_are_read_in_linear_time(source: str) -> None:
    def read() -> None:
        if not mjml.unknown_tags(source):
            mjml.mjml_depth(source)
            list(mjml.relative_links(source))

    assert processor_seconds(read) < DEADLINE


STYLES = {
    "properties of their own": STYLED.format("".join(f"p{{--a{n}:1}}" for n in range(1300)), "<p>x</p>" * 500),
    "one rule with many": STYLED.format("p{" + "".join(f"--a{n}:1;" for n in range(1300)) + "}", "<p>x</p>" * 500),
    "many rules": STYLED.format("p{color:red}" * 4000, "<p>x</p>" * 4900),
    "many selectors": STYLED.format(",".join(["p"] * 7000) + "{color:red}", "<p>x</p>" * 4900),
    "a tag that others do not read": STYLED.format(
        "", "<style/a=1>" + "p{color:red}" * 4000 + "</style>" + "<p>x</p>" * 4900
    ),
    "what stands before each element": STYLED.format("p:not(q ~ p){color:red}" * 30, "<p>x</p>" * 4900),
    "the same in another": STYLED.format("p:not(:is(a, q + p)){color:red}" * 30, "<p>x</p>" * 4900),
    "what stands around": STYLED.format("div:not(q div){color:red}" * 30, ("<div>" * 240 + "x" + "</div>" * 240) * 19),
    "a long value": STYLED.format("p{background:" + "a" * 50_000 + "}", "<p>x</p>" * 4900),
}


@pytest.mark.parametrize("html", STYLES.values(), ids=STYLES)
def test_styles_that_would_take_long_are_refused_before(html: str) -> None:
    with pytest.raises(RenderError) as refused:
        mjml.inline_styles(html)
    assert refused.value.code == "bad_style"
    assert "remove rules that this mail does not need" in refused.value.detail
    assert processor_seconds(lambda: mjml.inline_styles(html), RenderError) < DEADLINE


@pytest.mark.parametrize(
    "html",
    [
        STYLED.format("".join(f".c{n}{{color:red;padding:1px;margin:2px}}" for n in range(300)), "<p>x</p>" * 1000),
        STYLED.format("p{color:red}" * 100, "<p>x</p>" * 4900),
        STYLED.format("".join(f"p{{--a{n}:1}}" for n in range(50)), "<p>x</p>" * 500),
    ],
)
def test_styles_that_large_mails_have_are_moved_in_time(html: str) -> None:
    assert processor_seconds(lambda: mjml.inline_styles(html)) < DEADLINE


def test_relations_in_a_small_mail_are_let_through() -> None:
    mjml.inline_styles(STYLED.format("p:not(.a p){color:red} p:not(.a, .b){margin:0} a ~ b{top:0}", "<p>x</p>" * 300))


CROWDED = {
    "names alone": "<p " + " ".join(f"a{n}" for n in range(9_000)) + ">x</p>",
    "values": "<p " + " ".join(f"a{n}='>'" for n in range(6_000)) + ">x</p>",
    "quotes in names": "<p \"' " + "/".join(f"a{n}" for n in range(9_000)) + ">x</p>",
    "what a condition lets in": "<p {% if event.data.x == 'a' %}"
    + " ".join(f"a{n}" for n in range(900))
    + "{% endif %}>",
    "no end": "<p " + "a=" * 20_000,
}


@pytest.mark.parametrize("html", CROWDED.values(), ids=CROWDED)
def test_an_element_of_too_many_attributes_is_refused_at_save(html: str) -> None:
    def validate() -> None:
        found = CHANNELS_BY_ID["email"].validate_content({"subject": "s", "html": html}, marketing=False)
        if "a=a=" not in html:
            assert [(each.pointer, each.code) for each in found] == [("/html", "too_many")]

    assert processor_seconds(validate) < DEADLINE


def test_no_more_carousel_images_are_compiled_than_any_mail_has() -> None:
    images = '<mj-carousel-image src="https://example.org/a.png" />' * 51
    with pytest.raises(RenderError, match="more than 50 images in carousels"):
        mjml.mjml_to_html(page(f"</mj-text><mj-carousel>{images}</mj-carousel><mj-text>"))


@pytest.mark.parametrize(
    "html", ["<p>x</p>" + "x" * 300_000, STYLED.format(f"p{{background:{'a' * 900}}}", "<p>" + "<p>x</p>" * 1000)]
)
def test_a_page_is_no_longer_than_any_mail_program_takes(html: str) -> None:
    with pytest.raises(RenderError, match="at most 262144 characters"):
        mjml.inline_styles(html)

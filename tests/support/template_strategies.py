"""Hypothesis strategies for templates and their values: all that is translated, and what is left to python-liquid."""

from collections.abc import Callable

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from services.template.engine import create_environment

FILTERS = sorted(create_environment(html=True).filters)
TEXTS = st.sampled_from(
    ["", " ", "a", "Ada", "b,c", "<b>&amp;\"'</b>", "é☃\U0001f600", "x\ny", "x\r\ny\r", "2", "-1", "2.5", "nil"]
    + ["2026-03-01T10:00:00Z", "false", "\ud800", "{{ now }}", "0"]
)
SCALARS = TEXTS | st.none() | st.booleans() | st.integers(-3, 30) | st.sampled_from([0.0, 1.5, -2.25, 1e30, 2**70])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
CONTEXTS = st.fixed_dictionaries(
    {"x": VALUES, "goods": st.lists(st.dictionaries(st.sampled_from("ab"), SCALARS, max_size=2), max_size=4) | VALUES},
    optional={"y": VALUES, "a": VALUES, "now": TEXTS},
)
NAMES = st.sampled_from(["x", "y", "a", "item", "goods"] * 6 + ["nope", "now", "today", "partial", "forloop"])
KEYS = st.sampled_from(["", ".a", ".b", ".c", ".a.b", ".size", ".first", ".last", "[0]", "[-1]", "['a']", ".nope"])
PATHS = st.builds("{}{}".format, NAMES, KEYS) | st.sampled_from(
    ["x", "x.a", "y", "item", "item.a", "forloop.index", "forloop.last", "forloop.rindex0", "forloop.length"]
    + ["forloop.first", "forloop.rindex", "forloop.index0", "goods.size"] * 4
    + ["forloop.parentloop.index", "forloop.nope", "x[a]"]
)
LITERALS = st.sampled_from(
    ["'a'", "'<b>'", '"é"', "''", "1", "0", "-2", "2.5", "true", "false", "nil", "empty", "blank"]
)
PRIMITIVES = PATHS | PATHS | LITERALS | st.sampled_from(["x", "item"] * 9 + ["(1..3)"])
SIGNS = st.sampled_from(["==", "!=", "<>", "<", ">", "<=", ">=", "contains"])
DASHES = st.sampled_from(["", "", "-"])
WORDS = st.sampled_from(["", " ", "\n", " a ", "<p>", "é", "\r\n", "text\n ", "'", "\\", "{c0}", '"""', "%"])


@st.composite
def _filtered(draw: DrawFn) -> str:
    chain = draw(PRIMITIVES)
    for name in draw(
        st.lists(st.sampled_from(FILTERS) | st.sampled_from(["default", "default", "upcase"]), max_size=2)
    ):
        arguments = draw(st.lists(PRIMITIVES, max_size=2))
        if draw(st.integers(0, 9)) == 0:
            arguments.append(f"allow_false: {draw(PRIMITIVES)}")
        chain += f" | {name}" + (": " + ", ".join(arguments) if arguments else "")
    return chain


@st.composite
def _condition(draw: DrawFn) -> str:
    compared = st.builds("{} {} {}".format, PRIMITIVES, SIGNS, PRIMITIVES)
    terms = draw(st.lists(PATHS | compared | LITERALS, min_size=1, max_size=3))
    return draw(st.sampled_from([" and ", " or "])).join(terms)


def _writer(draw: DrawFn) -> Callable[[str], str]:
    """Writes tags, some of which take the white space around them away."""
    return lambda code: f"{{%{draw(DASHES)} {code} {draw(DASHES)}%}}"


@st.composite
def _leaf(draw: DrawFn) -> str:
    tag = _writer(draw)
    match draw(st.sampled_from(["words", "words", "output", "output", "assign", "echo", "rest"])):
        case "words":
            return draw(WORDS)
        case "output":
            return f"{{{{{draw(DASHES)} {draw(_filtered())} {draw(DASHES)}}}}}"
        case "assign":
            return tag(f"assign {draw(st.sampled_from('ayz'))} = {draw(_filtered())}")
        case "echo":
            return tag(f"echo {draw(_filtered())}")
    rest = ["comment %}{{ x }}{% endcomment", "raw %}{{ x }}{% endraw", "break", "continue", "# note"] * 4 + [
        "cycle 1, 2"
    ]
    return tag(draw(st.sampled_from(rest)))


@st.composite
def _block(draw: DrawFn, inner: SearchStrategy[str]) -> str:
    tag, word = _writer(draw), draw(st.sampled_from(["if", "unless", "for", "for", "case", "capture"]))
    rest = draw(inner) + (tag("else") + draw(inner) if draw(st.booleans()) and word != "capture" else "")
    match word:
        case "if" | "unless":
            elsif = tag(f"elsif {draw(_condition())}") + draw(inner) if draw(st.booleans()) else ""
            head = tag(f"{word} {draw(_condition())}") + draw(inner) + elsif
        case "for":
            cuts = st.builds("{}: {}".format, st.sampled_from(["limit", "offset"]), PRIMITIVES | st.just("1"))
            extra = " ".join(
                draw(st.lists(cuts | st.sampled_from(["reversed"] * 5 + ["offset: continue"]), max_size=2))
            )
            name = draw(st.sampled_from(["item"] * 9 + ["x", "forloop", "partial"]))
            head = tag(f"for {name} in {draw(PRIMITIVES | st.sampled_from(['goods', '(1..x)']))} {extra}")
        case "case":
            first = f"when {draw(PRIMITIVES)}{draw(st.sampled_from(['', ', 1', ' or a']))}"
            head = tag(f"case {draw(PRIMITIVES)}") + tag(first) + draw(inner) + tag(f"when {draw(PRIMITIVES)}")
        case _:
            head = tag(f"capture {draw(st.sampled_from('az'))}")
    return head + rest + tag(f"end{word}")


def _several(each: SearchStrategy[str]) -> SearchStrategy[str]:
    return st.lists(each, max_size=4).map("".join)


TEMPLATES = _several(st.recursive(_leaf(), lambda inner: _block(_several(inner)), max_leaves=10))

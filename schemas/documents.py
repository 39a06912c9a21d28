"""Reads documents: strict YAML or JSON in, a validated model out.

Errors name the place (a JSON pointer), the problem and its correction. Sizes, depth and numbers are bounded, because
documents come over HTTP.
"""

import codecs
import difflib
import json
import re
import types
import typing
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, Final, TypeVar

import yaml
from pydantic import BaseModel, ValidationError, ValidationInfo
from pydantic_core import ErrorDetails

from schemas.finding import Finding
from schemas.ids import KEY_PATTERN, SITUATION_KIND_PATTERN
from schemas.text import clean_text, escape_pointer, find_bad_texts

MAX_DOCUMENT_BYTES = 1024 * 1024
MAX_DEPTH = 32
MAX_VALUES = 50_000
MAX_PROBLEMS = 100
MAX_COMPARED_NAMES = 500
"""Names that a word is compared with: each takes 10 us. More than there are settings."""
MAX_COMPARED_LENGTH = 200
"""Characters of a word that may be a misspelt name: comparing a longer one takes milliseconds, and finds nothing."""
_NOT_JSON = "not JSON"
_INT64_LIMIT = 2**63
_LONG_NUMBER = re.compile(rb"[0-9]{19}")
"""A number beyond 64 bits has at least this many digits, so texts without such a run need no check."""
_BAD_TEXT_ESCAPE = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
"""JSON in UTF-8 can write a NUL or half a surrogate pair only as an escape, so texts without one need no check."""

VALUE_ERROR_PREFIX: Final = "Value error, "
"""What Pydantic puts before the words of a validator."""
_PLAIN_WORDS: Final = {
    **dict.fromkeys(("tuple_type", "list_type"), "must be a list"),
    **dict.fromkeys(("dict_type", "mapping_type", "model_type", "model_attributes_type"), "must be an object"),
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    **dict.fromkeys(("float_type", "decimal_type"), "must be a number"),
}
"""What a value must be, by Pydantic's type of error; Pydantic names types of Python."""
_PATTERN_WORDS: Final = {
    KEY_PATTERN: "must be 1 to 63 of `a` to `z`, `0` to `9` and `-`, and not begin with `-`",
    SITUATION_KIND_PATTERN: "must be 1 to 63 of `a` to `z`, `0` to `9`, `_` and `-`, and begin with a letter or digit",
}
"""What names must be, in place of their regular expressions."""
DocumentProblem = tuple[str, str, str] | Finding
"""A problem: (JSON pointer, code, detail), or a finding that knows more, such as a line."""
Model = TypeVar("Model", bound=BaseModel)


class DocumentError(ValueError):
    """The problems of a document: `findings`, and `errors` as (JSON pointer, code, detail) each."""

    def __init__(self, errors: Iterable[DocumentProblem]) -> None:
        self.findings = [each if isinstance(each, Finding) else Finding(*each) for each in errors]
        self.errors = [(each.pointer, each.code, each.detail) for each in self.findings]
        super().__init__("; ".join(f"{pointer or '/'}: {detail}" for pointer, _, detail in self.errors))

    def __reduce__(self) -> tuple[type["DocumentError"], tuple[list[Finding]]]:
        """Pickles the findings, since the text of the exception is made from them."""
        return type(self), (self.findings,)


class FieldError(ValueError):
    """What a validator of a whole model says of one of its fields, such as an end that lies before the start."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(detail)
        self.field = field


def load_document(text: bytes | str) -> Any:
    """Parse YAML or JSON into plain values. Both mean the same: what JSON cannot say (tags, aliases, dates, keys that
    are not text) is refused or text. Raises DocumentError for the same as `load_json`.
    """
    raw = without_byte_order_mark(text.encode() if isinstance(text, str) else text)
    _check_size(raw)
    if raw.lstrip()[:1] not in (b"{", b"["):
        return _load_yaml(raw)
    try:
        return load_json(raw)
    except DocumentError as error:
        if not error.errors[0][2].startswith(_NOT_JSON):
            raise
        try:  # YAML may begin with a brace too
            return _load_yaml(raw)
        except DocumentError:
            raise error from None


def find_lines(raw: bytes, pointers: Iterable[str]) -> list[int | None]:
    """The lines of a YAML text that JSON pointers point to, from 1; None where the place is not there."""
    try:
        root = yaml.compose(without_byte_order_mark(raw).decode(), Loader=_StrictLoader)
    except (yaml.YAMLError, RecursionError, ValueError):
        return [None for _ in pointers]
    return [_find_line(root, pointer.split("/")[1:]) for pointer in pointers]


def _find_line(node: Any, parts: list[str]) -> int | None:
    line: int | None = None
    for part in parts:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(node, yaml.MappingNode):
            found = [(key.start_mark.line, value) for key, value in node.value if key.value == name]
        elif isinstance(node, yaml.SequenceNode) and name.isdecimal() and int(name) < len(node.value):
            found = [(node.value[int(name)].start_mark.line, node.value[int(name)])]
        else:
            found = []
        if not found:
            return None if line is None else line
        line, node = found[0][0] + 1, found[0][1]
    return line


def _load_yaml(raw: bytes) -> Any:
    try:
        value = yaml.load(raw.decode("utf-8"), Loader=_StrictLoader)  # noqa: S506 - a safe loader, made stricter
    except UnicodeDecodeError:
        raise DocumentError([("", "malformed", "not UTF-8")]) from None
    except (yaml.YAMLError, RecursionError) as error:
        raise DocumentError([("", "malformed", f"not YAML: {_describe_yaml_error(error)}")]) from None
    except ValueError as error:
        raise DocumentError([("", "malformed", f"not YAML: {_describe_number_error(error)}")]) from None
    _check_limits(value)
    _check_texts(value)
    return value


def _describe_yaml_error(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None)
    if mark is None or problem is None:
        return " ".join(str(error).split())
    context = getattr(error, "context", None)
    return f"{f'{context}: ' if context else ''}{problem} at line {mark.line + 1}, column {mark.column + 1}"


def load_json(raw: bytes, *, check_texts: bool = True) -> Any:
    """Parse JSON into plain values.

    Raises DocumentError for duplicate keys, NaN and infinities, numbers beyond 64 bits, more than 32 levels,
    more than 50,000 values, more than 1 MiB, text that is not UTF-8, and text that cannot be kept (schemas.text).
    """
    _check_size(raw)
    raw = without_byte_order_mark(raw)
    depth = _nesting_depth(raw)
    if depth > MAX_DEPTH:
        raise DocumentError([("", "too_deep", f"nested deeper than {MAX_DEPTH} levels")])
    try:
        value = _JSON.decode(raw.decode("utf-8"))
    except UnicodeDecodeError:
        raise DocumentError([("", "malformed", "not UTF-8")]) from None
    except json.JSONDecodeError as error:
        detail = f"{_NOT_JSON}: {error.msg} at line {error.lineno}, column {error.colno}"
        raise DocumentError([("", "malformed", detail)]) from None
    except ValueError as error:
        raise DocumentError([("", "malformed", _describe_number_error(error))]) from None
    if len(raw) > MAX_VALUES or _LONG_NUMBER.search(raw):
        _check_limits(value)
    if check_texts and may_hold_bad_texts(raw):
        _check_texts(value)
    return value


def may_hold_bad_texts(raw: bytes) -> bool:
    """Whether JSON that has been parsed may hold text that cannot be kept: False for nearly all, at little cost."""
    return _BAD_TEXT_ESCAPE.search(raw) is not None


def without_byte_order_mark(raw: bytes) -> bytes:
    """Drop the mark that some editors put before UTF-8. Raises DocumentError for the mark of another encoding."""
    if raw.startswith(codecs.BOM_UTF8):
        return raw[len(codecs.BOM_UTF8) :]
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DocumentError([("", "malformed", "not UTF-8 but UTF-16: save it as UTF-8")])
    return raw


def is_blank_line(line: bytes) -> bool:
    """Whether a line of a file of JSON lines holds no document."""
    return not line.removeprefix(codecs.BOM_UTF8).strip()


def validate_document(
    model: type[Model], data: Any, *, stored: bool = False, max_problems: int | None = MAX_PROBLEMS
) -> Model:
    """Validate plain values as a model. Raises DocumentError, with a suggestion for an unknown field.

    `stored`: an earlier version may have saved it, and where that took more, fields that know of it (`is_stored`) do.
    """
    if not isinstance(data, Mapping):
        raise DocumentError([("", "wrong_type", "the document must be an object with fields")])
    if max_problems is not None and len(data) > len(model.model_fields) + max_problems:
        _refuse_unknown_fields(model, data, max_problems)
    try:
        # by_name: code makes documents with Python's names, such as `class_` and `start`; people write none of them
        return model.model_validate(data, context=_STORED if stored else None, by_name=stored)
    except ValidationError as error:
        raise DocumentError(to_problems(model, error, max_problems)) from None


def _refuse_unknown_fields(model: type[BaseModel], data: Mapping[str, Any], limit: int) -> None:
    """Refuses an object that has more unknown fields than are told: Pydantic makes an error of each, and describing
    20,000 of them keeps a process for a quarter of a second.
    """
    known = {name for field, info in model.model_fields.items() for name in (field, info.alias)}
    unknown = list(islice((str(name) for name in data if name not in known), limit))
    if len(unknown) == limit and model.model_config.get("extra") == "forbid":
        raise DocumentError(
            (f"/{escape_pointer(name)}", "unknown_field", _describe_unknown_field(model, (name,))) for name in unknown
        )


_STORED = {"stored": True}
_OF_A_KEY = "[key]"
"""What Pydantic adds to the place of a key that is wrong itself."""


def is_stored(info: ValidationInfo) -> bool:
    """In a validator: whether the document is one that was saved before."""
    return info.context is _STORED


def to_problems(
    model: type[BaseModel], error: ValidationError, limit: int | None = MAX_PROBLEMS
) -> list[tuple[str, str, str]]:
    """Convert Pydantic's errors, the first `limit` of them."""
    problems: list[tuple[str, str, str]] = []
    for item in error.errors(include_url=False, include_input=False)[:limit]:
        place = item["loc"][:-1] if item["loc"] and item["loc"][-1] == _OF_A_KEY else item["loc"]
        pointer = "".join(f"/{escape_pointer(part)}" for part in place)
        if isinstance(cause := item.get("ctx", {}).get("error"), FieldError):
            pointer += f"/{escape_pointer(cause.field)}"
        if item["type"] == "extra_forbidden":
            problems.append((pointer, "unknown_field", _describe_unknown_field(model, item["loc"])))
        elif item["type"] == "missing":
            problems.append((pointer, "missing", f"the field `{item['loc'][-1]}` is required"))
        else:
            problems.append((pointer, item["type"], _describe_wrong_value(item)))
    return problems


def _describe_wrong_value(item: ErrorDetails) -> str:
    """Pydantic's words, where they do not name a type of Python."""
    bounds = item.get("ctx", {})
    if item["type"] == "too_short":
        return f"needs at least {bounds['min_length']} of them"
    if item["type"] == "too_long" and bounds.get("max_length") is not None:
        return f"holds more than {bounds['max_length']}"
    if item["type"] == "string_pattern_mismatch" and bounds["pattern"] in _PATTERN_WORDS:
        return _PATTERN_WORDS[bounds["pattern"]]
    detail = item["msg"].removeprefix(VALUE_ERROR_PREFIX)
    return _PLAIN_WORDS.get(item["type"], detail[:1].lower() + detail[1:])


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`, did you mean ...?` if the word resembles a known one, else an empty text."""
    if len(word) > MAX_COMPARED_LENGTH:
        return ""
    matches = difflib.get_close_matches(word, list(islice(known, MAX_COMPARED_NAMES)), n=1, cutoff=0.6)
    return f", did you mean `{matches[0]}`?" if matches else ""


def _describe_unknown_field(model: type[BaseModel], location: tuple[int | str, ...]) -> str:
    fields: Iterable[str] = ()
    current: Any = model
    for part in location[:-1]:
        current = _field_type(current, part)
    for candidate in _models_in(current):
        fields = [*fields, *(info.alias or name for name, info in candidate.model_fields.items())]
    word = str(location[-1])
    return f"unknown field `{word}`{did_you_mean(word, fields)}"


def _field_type(annotation: Any, part: int | str) -> Any:
    for candidate in _models_in(annotation):
        for name, info in candidate.model_fields.items():
            if part in (name, info.alias):
                return info.annotation
    return annotation


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if typing.get_origin(annotation) is not None or isinstance(annotation, types.UnionType):
        return [model for part in typing.get_args(annotation) for model in _models_in(part)]
    return []


def _check_size(raw: bytes) -> None:
    if len(raw) > MAX_DOCUMENT_BYTES:
        raise DocumentError([("", "too_large", f"larger than {MAX_DOCUMENT_BYTES} bytes")])


def _check_texts(value: Any) -> None:
    problems = list(islice(find_bad_texts(value), MAX_PROBLEMS))
    if problems:
        raise DocumentError(problems)


def _nesting_depth(raw: bytes) -> int:
    depth = deepest = 0
    in_string = escaped = False
    for byte in raw if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH else b"":
        if in_string:
            if escaped:
                escaped = False
            elif byte == 0x5C:
                escaped = True
            elif byte == 0x22:
                in_string = False
        elif byte == 0x22:
            in_string = True
        elif byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
            if deepest > MAX_DEPTH:
                break
        elif byte in b"]}":
            depth -= 1
    return deepest


def _reject_duplicate_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f"the key `{clean_text(key[:60])}` appears twice")
            seen.add(key)
    return result


def _reject_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


def _parse_finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError("a number is out of range")
    return value


def _describe_number_error(error: ValueError) -> str:
    """What is wrong with a number. Python's own words, for one of thousands of digits, are about its settings."""
    return "a whole number beyond 64 bits" if "integer string conversion" in str(error) else str(error)


def _check_limits(value: Any) -> None:
    stack, nodes = [(value, 1)], 0
    while stack:
        item, depth = stack.pop()
        nodes += 1
        if nodes > MAX_VALUES:
            raise DocumentError([("", "too_large", f"more than {MAX_VALUES} values")])
        if depth > MAX_DEPTH + 1:
            raise DocumentError([("", "too_deep", f"nested deeper than {MAX_DEPTH} levels")])
        if isinstance(item, dict):
            stack.extend((child, depth + 1) for child in item.values())
            for key in item:
                if not isinstance(key, str):
                    raise DocumentError([("", "malformed", f"the key {key!r} is not text: quote it")])
        elif isinstance(item, list):
            stack.extend((child, depth + 1) for child in item)
        elif isinstance(item, int) and not isinstance(item, bool) and not -_INT64_LIMIT <= item < _INT64_LIMIT:
            raise DocumentError([("", "out_of_range", "a whole number beyond 64 bits")])


_JSON = json.JSONDecoder(
    object_pairs_hook=_reject_duplicate_keys, parse_constant=_reject_constant, parse_float=_parse_finite
)


class _StrictLoader(yaml.SafeLoader):
    """YAML that means what the same JSON means: no aliases, tags or duplicate keys, bounded depth.

    Its resolvers know the values of JSON alone: `no`, `12:30`, `2026-03-01`, `010`, `1_000` and `.nan` are texts.
    """

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self._depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise _yaml_error("anchors and aliases are not supported", self.peek_event().start_mark)  # type: ignore[no-untyped-call]
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if getattr(event, "tag", None) not in (None, "!"):
            raise _yaml_error(f"the tag {event.tag} is not supported", event.start_mark)
        if self._depth > MAX_DEPTH:
            raise _yaml_error(f"nested deeper than {MAX_DEPTH} levels", event.start_mark)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag != _TEXT_TAG:
                raise _yaml_error("a key is not text: put it in quotes", key.start_mark)
            if key.value in seen:
                raise _yaml_error(f"the key `{key.value[:60]}` appears twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_float(self, node: Any) -> float:
        return _parse_finite(self.construct_scalar(node))

    def construct_text(self, node: Any) -> str:
        text: str = self.construct_scalar(node)
        if not text.isascii() and _SURROGATE.search(text):  # JSON writes a character beyond 16 bits as two escapes
            text = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
        return text


def _yaml_error(problem: str, mark: yaml.Mark) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)


_TEXT_TAG = "tag:yaml.org,2002:str"
_SURROGATE = re.compile("[\ud800-\udfff]")
_StrictLoader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|false", ["t", "f"]),
    ("int", r"-?(?:0|[1-9][0-9]*)", list("-0123456789")),
    ("float", r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?", list("-0123456789")),
):
    _StrictLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)
_StrictLoader.add_constructor("tag:yaml.org,2002:float", _StrictLoader.construct_float)
_StrictLoader.add_constructor(_TEXT_TAG, _StrictLoader.construct_text)

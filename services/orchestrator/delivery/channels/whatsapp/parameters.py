"""Parameters of approved templates: JSON in the content, whose texts are templates of their own.

The JSON is read before any template is compiled, so no value of an event can add a parameter or break the JSON. In
findings and errors such a text is the field `body_parameters/1`, or `button_parameters/url/0`.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

BODY: Final = "body_parameters"
BUTTONS: Final = "button_parameters"
MAX_PARAMETERS: Final = 30
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,49}")
_BUTTON: Final = re.compile(r"(?:url|quick_reply|copy_code)/[0-9]")


def read_body_parameters(text: str) -> dict[str, str]:
    """The parameters of a body by name; without names they are `1`, `2` and so on. Raises ValueError, which says what
    to write.
    """
    found = _read(text)
    if isinstance(found, list):
        found = {str(number): value for number, value in enumerate(found, 1)}
    elif isinstance(found, dict):
        wrong = next((name for name in found if not _NAME.fullmatch(name)), None)
        if wrong is not None:
            raise ValueError("names of parameters are small letters, digits and `_`, and begin with a letter")
    else:
        raise ValueError('write ["text", "text"], or {"name": "text"} where the template names its parameters')
    return _check_texts(found)


def read_button_parameters(text: str) -> dict[str, str]:
    """The parameters of buttons by kind and place. Raises ValueError, which says what to write."""
    found = _read(text)
    if not isinstance(found, dict):
        raise ValueError('write {"url/0": "text"}')
    if not all(map(_BUTTON.fullmatch, found)):
        raise ValueError("the keys are `url/0`, `quick_reply/1` or `copy_code/2`, with the place of the button from 0")
    if len({key[-1] for key in found}) < len(found):
        raise ValueError("a button has one parameter")
    return _check_texts(found)


def split_parameters(content: Mapping[str, str]) -> dict[str, str]:
    """The parameters of a content, each as a field of its own. Raises ValueError."""
    found: dict[str, str] = {}
    if BODY in content:
        found |= {f"{BODY}/{name}": text for name, text in read_body_parameters(content[BODY]).items()}
    if BUTTONS in content:
        found |= {f"{BUTTONS}/{name}": text for name, text in read_button_parameters(content[BUTTONS]).items()}
    return found


def write_parameters(field: str, texts: Mapping[str, str]) -> str:
    """The JSON of rendered parameters: a list where they have no names."""
    is_list = field == BODY and list(texts) == [str(number) for number in range(1, len(texts) + 1)]
    return json.dumps(list(texts.values()) if is_list else dict(texts), ensure_ascii=False, separators=(",", ":"))


def _read(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise ValueError(
            f"not JSON, at line {error.lineno}, column {error.colno}: templates stand inside the quotes, with ' for "
            "their own texts"
        ) from None
    except RecursionError:
        raise ValueError("nested too deeply: parameters are texts") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("has a name twice")
    return found


def _check_texts(found: Mapping[str, Any]) -> dict[str, str]:
    if not 0 < len(found) <= MAX_PARAMETERS:
        raise ValueError(
            f"has {len(found)} parameters: 1 to {MAX_PARAMETERS} are possible; leave the field out for none"
        )
    if not all(isinstance(value, str) for value in found.values()):
        raise ValueError("a parameter is no text: put it in quotes")
    return dict(found)

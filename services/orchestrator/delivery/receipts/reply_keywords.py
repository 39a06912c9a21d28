"""What a reply asks for: the words by which customers stop messages, take that back, or ask for help.

A reply is such a word if it is nothing else: white space and punctuation around it, and its case, do not count. A reply
that has one of them among others (`please stop`), or something like one (`stpo`), may be meant so, and is for a person
to decide.
"""

import re
import unicodedata
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Final, Literal

from schemas.receipt import ReplyKeyword

Understood = ReplyKeyword | Literal["maybe_stop"]
KEYWORDS: Final[Mapping[ReplyKeyword, Mapping[str, tuple[str, ...]]]] = {
    "stop": {
        "en": (
            *("stop", "stopall", "stop all", "unsubscribe", "cancel", "end", "quit", "revoke", "optout", "opt-out"),
            *("opt out", "remove", "td"),
        ),
        "de": ("stopp", "stop", "abmelden", "abmeldung", "abbestellen", "ende"),
        "fr": ("stop", "arret", "arrêt", "arreter", "arrêter", "desabonner", "désabonner", "desinscription",
               "désinscription", "desinscrire", "désinscrire"),
        "es": ("baja", "alto", "parar", "cancelar", "fin", "detener"),
        "pt": ("parar", "sair", "cancelar", "remover"),
        "it": ("ferma", "basta", "annulla", "cancella", "stop"),
        "nl": ("afmelden", "uitschrijven", "stoppen", "einde", "uit"),
    },
    "start": {
        "en": ("start", "unstop"),
        "de": ("start", "anmelden"),
        "fr": ("start", "reprendre"),
        "es": ("alta", "iniciar"),
        "pt": ("iniciar",),
        "it": ("inizia",),
        "nl": ("aanmelden",),
    },
    "help": {
        "en": ("help", "info"),
        "de": ("hilfe", "info"),
        "fr": ("aide", "info"),
        "es": ("ayuda", "info"),
        "pt": ("ajuda", "info"),
        "it": ("aiuto", "info"),
        "nl": ("hulp", "help", "info"),
    },
}  # fmt: skip
"""What is asked for -> language -> the words for it. All languages count, whichever the customer's is: a customer who
stops must not have to know in which language we listen.
"""
TELLING: Final = frozenset(
    {"stop", "stopp", "stopall", "unsubscribe", "optout", "revoke", "remove", "cancel", "quit"}
    | {"abmelden", "abmeldung", "abbestellen", "aufhören", "arret", "arrêt", "arrêter", "arrêtez", "désabonner"}
    | {"desabonner", "désinscrire", "baja", "parar", "detener", "cancelar", "basta", "afmelden", "uitschrijven"}
)
"""Words that let a reply with other words beside them be for a person to decide; `end` or `fin` are in too many."""
_BY_WORD: Final[Mapping[str, ReplyKeyword]] = {
    word: keyword for keyword, languages in KEYWORDS.items() for words in languages.values() for word in words
}
_AROUND: Final = re.compile(r"^[\W_]+|[\W_]+$")
_WORD: Final = re.compile(r"\w+")
_LOOKED_AT: Final = 1000
"""Characters of a reply."""
_LIKENESS: Final = 0.75


def understand_reply(text: str) -> Understood | None:
    """What a reply asks for; None if it asks for nothing of this."""
    folded = unicodedata.normalize("NFKC", text[:_LOOKED_AT]).casefold()
    whole = " ".join(_AROUND.sub("", folded).split())
    if (keyword := _BY_WORD.get(whole)) is not None:
        return keyword
    words = _WORD.findall(folded)
    if not TELLING.isdisjoint(words):
        return "maybe_stop"
    is_one_word = len(words) == 1 and 3 < len(words[0]) < 20
    return "maybe_stop" if is_one_word and get_close_matches(words[0], TELLING, 1, _LIKENESS) else None

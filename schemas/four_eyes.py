"""Whether two who act are two pairs of eyes: neither of them holds, or has ever seen, a key of the other.

Whoever makes a key has seen it, and so can act with it. So somebody stands behind a key who holds it, who holds another
key of the same name or person, who made one of those, who made the key with which that was done, and so on. Keys are
followed by their ids, which nobody chooses; names and persons only ever join what ids keep apart. Names that people may
take for the same are the same (`schemas/key_names.py`).

Two persons whose keys a third one made are two: in most companies one administrator makes all keys. That administrator
has seen both, and could act with both; the audit log shows who made which key.
"""

from collections.abc import Iterable
from typing import Literal, NamedTuple, TypeAlias

from schemas.key_names import skeleton

Relation: TypeAlias = Literal["same", "editor_behind_approver", "approver_behind_editor"]


class Actor(NamedTuple):
    """Somebody who acted: the name then, and the id of the key; None where an earlier version did not keep it."""

    name: str
    key_id: str | None = None


class KeyOrigin(NamedTuple):
    """A key that there is or was: who holds it, and who made it."""

    id: str
    name: str
    person: str | None
    created_by: str
    created_by_id: str | None


def relate(editor: Actor, approver: Actor, keys: Iterable[KeyOrigin]) -> Relation | None:
    """How the two are one pair of eyes; None if they are two. `keys`: all that there ever were."""
    known = list(keys)
    editing, approving = _holder(_nodes(*editor), known), _holder(_nodes(*approver), known)
    if editing & approving:
        return "same"
    if editing & _makers(approving, known):
        return "editor_behind_approver"
    if approving & _makers(editing, known):
        return "approver_behind_editor"
    return None


def _nodes(name: str, key_id: str | None, person: str | None = None) -> set[str]:
    """What stands for a holder: the id, and the names. A name and a person that look alike are one."""
    ids = set() if key_id is None else {f"id:{key_id}"}
    return ids | {f"who:{skeleton(each)}" for each in (name, person) if each}


def _holder(nodes: set[str], keys: list[KeyOrigin]) -> set[str]:
    """These nodes, with those of all keys of the same holder."""
    found, is_growing = set(nodes), True
    own = [_nodes(key.name, key.id, key.person) for key in keys]
    while is_growing:
        joined = set().union(*(each for each in own if each & found), found)
        is_growing, found = joined != found, joined
    return found


def _makers(holder: set[str], keys: list[KeyOrigin]) -> set[str]:
    """Whoever made a key of this holder, who made one of theirs, and so on, without the holder."""
    found: set[str] = set()
    behind = set(holder)
    while True:
        made = [key for key in keys if _nodes(key.name, key.id, key.person) & behind]
        makers = _holder(set().union(*(_nodes(key.created_by, key.created_by_id) for key in made)), keys)
        if makers <= found:
            return found
        found |= makers
        behind |= makers

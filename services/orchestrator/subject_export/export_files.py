"""The files of an export, as JSON and as a page to read, written from its parts one after the other.

Every part is one page of rows of a section; parts of a section follow one another.
"""

import html
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec

from schemas.times import format_instant
from services.kit.db.database import Database
from services.orchestrator.subject_export import store
from services.orchestrator.subject_export.store import SubjectExport

CONTENT_SECURITY_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
"""Of the page: it has styles of its own and loads nothing."""
_STYLE: Final = (
    ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1rem}"
    "h2{margin-top:2.5rem}article{border-top:1px solid #888;padding:.5rem 0}dl{margin:0}dt{font-weight:600}"
    "dd{margin:0 0 .4rem 1rem;overflow-wrap:anywhere}ul{margin:0;padding-left:1.2rem}"
)
_SERVICES: Final = {
    "preference": "What you chose, and what is known of you",
    "suppression": "Why you are not contacted",
    "orchestrator": "What was decided and sent",
}


async def _parts(database: Database, id: str) -> AsyncIterator[Any]:
    number = 0
    while True:
        async with database.read() as tx:
            part = await store.load_part(tx, id, number)
        if part is None:
            return
        yield part
        number += 1


async def write_json(database: Database, export: SubjectExport) -> AsyncIterator[bytes]:
    """`{customer, made, sections: [{service, section, title, rows}]}`, in pieces."""
    head = {"customer": export.customer, "export": export.id, "made": format_instant(export.created)}
    yield msgspec.json.encode(head)[:-1] + b',"sections":['
    last: tuple[str, str] | None = None
    has_rows = False
    async for part in _parts(database, export.id):
        rows = bytes(part.body)[1:-1]
        if (part.service, part.section) != last:
            opened = msgspec.json.encode({"service": part.service, "section": part.section, "title": part.title})
            yield (b"" if last is None else b"]},") + opened[:-1] + b',"rows":['
            last, has_rows = (part.service, part.section), False
        if rows:
            yield (b"," if has_rows else b"") + rows
            has_rows = True
    yield (b"" if last is None else b"]}") + b"]}\n"


async def write_page(database: Database, export: SubjectExport) -> AsyncIterator[bytes]:
    """The same as a page, in pieces. All values are escaped."""
    title = f"What is known of {html.escape(export.customer)}"
    yield (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{_STYLE}</style></head>'
        f"<body><main><h1>{title}</h1><p>Made on {format_instant(export.created)}.</p>"
    ).encode()
    service = section = None
    async for part in _parts(database, export.id):
        heading = ""
        if part.service != service:
            service, section = part.service, None
            heading = f"<h2>{html.escape(_SERVICES.get(part.service, part.service))}</h2>"
        rows = msgspec.json.decode(bytes(part.body))
        if part.section != section:
            section = part.section
            heading += f"<h3>{html.escape(part.title)}</h3>" + ("" if rows else "<p>Nothing.</p>")
        yield (heading + "".join(f"<article>{_value(row)}</article>" for row in rows)).encode()
    yield b"</main></body></html>\n"


def _value(value: Any) -> str:
    """A JSON value in HTML; what is empty is left out of lists of names."""
    if isinstance(value, dict):
        known = {name: each for name, each in value.items() if each not in (None, "", [], {})}
        names = "".join(f"<dt>{html.escape(_spaced(n))}</dt><dd>{_value(each)}</dd>" for n, each in known.items())
        return f"<dl>{names}</dl>" if names else "nothing"
    if isinstance(value, list):
        return f"<ul>{''.join(f'<li>{_value(each)}</li>' for each in value)}</ul>" if value else "nothing"
    return html.escape(value if isinstance(value, str) else msgspec.json.encode(value).decode())


def _spaced(name: str) -> str:
    return name.replace("_", " ")

"""The files that pages load: style sheet, script, fonts, icon. Read once, named by their digest, cached for a year."""

from hashlib import sha256
from importlib import resources
from typing import Final, NamedTuple

from fastapi import APIRouter, Response

from services.kit.errors import NotFound
from services.kit.http.auth import public

PREFIX: Final = "/console/static"
_TYPES: Final = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "woff2": "font/woff2",
    "txt": "text/plain; charset=utf-8",
}
_FOLDERS: Final = ("fonts", "licences", "")
_YEAR: Final = "public, max-age=31536000, immutable"
_HOUR: Final = "public, max-age=3600"


class File(NamedTuple):
    """A file, what it is, and the digest of its bytes."""

    body: bytes
    type: str
    digest: str


class Assets:
    """All files of the folder `static`, fonts before the style sheet that names them."""

    def __init__(self) -> None:
        self._files: dict[str, File] = {}
        root = resources.files("services.orchestrator.console") / "static"
        for folder in _FOLDERS:
            for item in sorted((root / folder).iterdir() if folder else root.iterdir(), key=lambda entry: entry.name):
                kind = _TYPES.get(item.name.rpartition(".")[2])
                if item.is_file() and kind is not None:
                    name = f"{folder}/{item.name}".lstrip("/")
                    body = item.read_bytes()
                    body = self._dated(body) if name.endswith(".css") else body
                    self._files[name] = File(body, kind, sha256(body).hexdigest()[:16])

    def url(self, name: str) -> str:
        """Where a file is. The query changes with the file."""
        return f"{PREFIX}/{name}?v={self._files[name].digest}"

    def find(self, name: str) -> File:
        """A file by its name. Raises NotFound."""
        found = self._files.get(name)
        if found is None:
            raise NotFound("there is no such file")
        return found

    def _dated(self, css: bytes) -> bytes:
        for name in [name for name in self._files if name.startswith("fonts/")]:
            css = css.replace(f'"{name}"'.encode(), f'"{self.url(name)}"'.encode())
        return css


def router(assets: Assets) -> APIRouter:
    """The files."""
    routes = APIRouter(include_in_schema=False, dependencies=[public()])

    @routes.get(PREFIX + "/{name:path}")
    async def file(name: str, v: str = "") -> Response:
        found = assets.find(name)
        headers = {
            "Cache-Control": _YEAR if v == found.digest else _HOUR,
            "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
            "Cross-Origin-Resource-Policy": "same-origin",
        }
        return Response(found.body, 200, headers, found.type)

    return routes

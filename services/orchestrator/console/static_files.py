"""Static files of the pages: style sheet, script, fonts, icon. Read once, versioned by digest, cached for a year."""

from hashlib import sha256
from importlib import resources
from typing import Final, NamedTuple

from fastapi import APIRouter, Response

from services.kit.errors import NotFound
from services.kit.http.auth import public

STATIC_PATH: Final = "/console/static"
_CONTENT_TYPES: Final = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "woff2": "font/woff2",
    "txt": "text/plain; charset=utf-8",
}
_FOLDERS: Final = ("fonts", "licences", "")
_CACHE_ONE_YEAR: Final = "public, max-age=31536000, immutable"
_CACHE_ONE_HOUR: Final = "public, max-age=3600"


class StaticFile(NamedTuple):
    """A file, its media type, and the digest of its bytes."""

    body: bytes
    content_type: str
    digest: str


class StaticAssets:
    """All files of the folder `static`; fonts come before the style sheet that refers to them."""

    def __init__(self) -> None:
        self._files: dict[str, StaticFile] = {}
        root = resources.files("services.orchestrator.console") / "static"
        for folder in _FOLDERS:
            for item in sorted((root / folder).iterdir() if folder else root.iterdir(), key=lambda entry: entry.name):
                content_type = _CONTENT_TYPES.get(item.name.rpartition(".")[2])
                if item.is_file() and content_type is not None:
                    name = f"{folder}/{item.name}".lstrip("/")
                    body = item.read_bytes()
                    body = self._with_versioned_urls(body) if name.endswith(".css") else body
                    self._files[name] = StaticFile(body, content_type, sha256(body).hexdigest()[:16])

    def url(self, name: str) -> str:
        """Returns the URL of a file. Its query changes with the file."""
        return f"{STATIC_PATH}/{name}?v={self._files[name].digest}"

    def get_file(self, name: str) -> StaticFile:
        """Returns a file by name. Raises NotFound."""
        file = self._files.get(name)
        if file is None:
            raise NotFound("there is no such file")
        return file

    def _with_versioned_urls(self, css: bytes) -> bytes:
        for name in [name for name in self._files if name.startswith("fonts/")]:
            css = css.replace(f'"{name}"'.encode(), f'"{self.url(name)}"'.encode())
        return css


def static_file_routes(assets: StaticAssets) -> APIRouter:
    """Builds the route of static files."""
    routes = APIRouter(include_in_schema=False, dependencies=[public()])

    @routes.get(STATIC_PATH + "/{name:path}")
    async def get_static_file(name: str, v: str = "") -> Response:
        file = assets.get_file(name)
        headers = {
            "Cache-Control": _CACHE_ONE_YEAR if v == file.digest else _CACHE_ONE_HOUR,
            "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
            "Cross-Origin-Resource-Policy": "same-origin",
        }
        return Response(file.body, 200, headers, file.content_type)

    return routes

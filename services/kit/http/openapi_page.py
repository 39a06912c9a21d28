"""The answer to `GET /openapi.json`, which anybody may ask for.

Making the document takes a second of processor time. So it is made once, when somebody asks first, in a thread.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

from starlette.responses import Response


class OpenApiPage:
    """The document of one app, or of several at one address, as JSON."""

    def __init__(self, describe: Callable[[], Mapping[str, Any]]) -> None:
        self._describe = describe
        self._text = ""
        self._lock = asyncio.Lock()

    async def respond(self) -> Response:
        """The document."""
        async with self._lock:
            if not self._text:
                self._text = await asyncio.to_thread(lambda: json.dumps(self._describe()))
        return Response(self._text, media_type="application/json")

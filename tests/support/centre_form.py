"""Fills in the form of a preference page as a browser would: with what the page has put into it."""

from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode

import httpx

FORM = {"content-type": "application/x-www-form-urlencoded", "authorization": ""}


class _FormReader(HTMLParser):
    """The fields of the form with the class `form`, with the values that a browser would send."""

    def __init__(self) -> None:
        super().__init__()
        self.fields: list[tuple[str, str]] = []
        self._inside = False
        self._select: str | None = None
        self._options: list[tuple[str, bool]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._inside = found.get("class") == "form"
        if not self._inside:
            return
        if tag == "input" and (found["type"] == "hidden" or "checked" in found):
            self.fields.append((found["name"], found["value"]))
        elif tag == "select":
            self._select, self._options = found["name"], []
        elif tag == "option":
            self._options.append((found["value"], "selected" in found))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False
        elif tag == "select" and self._select is not None:
            chosen = [value for value, selected in self._options if selected] or [self._options[0][0]]
            self.fields.append((self._select, chosen[0]))
            self._select = None


class CentreFormFiller:
    """The form of a page; `cell` is ticked and unticked, other fields are set."""

    def __init__(self, page: str) -> None:
        reader = _FormReader()
        reader.feed(page)
        self.fields = reader.fields
        assert dict(self.fields).get("version"), "the page has no form"

    @property
    def ticked(self) -> set[str]:
        """The boxes that are ticked, as `topic.channel`."""
        return {value for name, value in self.fields if name == "cell"}

    def __getitem__(self, name: str) -> str:
        return dict(self.fields)[name]

    def tick(self, cell: str) -> "CentreFormFiller":
        self.fields.append(("cell", cell))
        return self

    def untick(self, cell: str) -> "CentreFormFiller":
        self.fields.remove(("cell", cell))
        return self

    def set(self, **values: str) -> "CentreFormFiller":
        assert values.keys() <= dict(self.fields).keys()
        self.fields = [(name, values.get(name, value)) for name, value in self.fields]
        return self

    def body(self, **more: Any) -> str:
        """What a browser would send."""
        return urlencode([*self.fields, ("action", "save"), *more.items()])

    async def save(self, http: httpx.AsyncClient, path: str) -> httpx.Response:
        return await http.post(path, content=self.body(), headers=FORM)


async def press(http: httpx.AsyncClient, path: str, action: str, version: int | str) -> httpx.Response:
    """Press one of the buttons beside the form."""
    return await http.post(path, content=urlencode({"action": action, "version": version}), headers=FORM)

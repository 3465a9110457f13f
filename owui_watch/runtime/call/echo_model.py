"""A model that answers with the message that it got, for as long as one call of a filter or an action takes.

It is a pipe, which is created in a sandbox and deleted again; on any other server nothing is ever created.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Protocol, Self

import anyio

_PREFIX = "owui_watch_echo_"
_TO_DELETE = 5.0
"""Seconds that a server which does not answer has for the deletion."""
_CODE = """
class Pipe:
    async def pipe(self, body: dict):
        content = body["messages"][-1]["content"]
        text = content if isinstance(content, str) else str(content)
        for word in text.splitlines(keepends=True):
            yield word
"""


class _Reply(Protocol):
    @property
    def status(self) -> int: ...

    @property
    def error(self) -> str: ...


class _Api(Protocol):
    async def request(
        self, method: str, path: str, form: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> _Reply: ...


class Echo:
    """``model`` is the id of the model within the context; None if none was ``wanted``, or it could not be made.

    ``filters`` are attached to it, so that they run though they are not global.
    """

    def __init__(self, api: _Api, *, wanted: bool, filters: Sequence[str] = ()) -> None:
        self._api = api
        self._wanted = wanted
        self._filters = tuple(filters)
        self._id = f"{_PREFIX}{secrets.token_hex(4)}"
        self.model: str | None = None
        self.error = ""

    async def __aenter__(self) -> Self:
        """Create it."""
        if self._wanted:
            try:
                await self._create()
            except BaseException:
                await self._delete_in_time()
                raise
        return self

    async def _create(self) -> None:
        meta = {"description": "", "manifest": {}}
        form = {"id": self._id, "name": "Echo", "content": _CODE, "meta": meta}
        made = await self._api.request("POST", "/api/v1/functions/create", form)
        if made.status == 200:
            made = await self._api.request("POST", f"/api/v1/functions/id/{self._id}/toggle")
        if made.status == 200:
            shown: dict[str, Any] = {
                "hidden": True,
                "filterIds": list(self._filters),
                "profile_image_url": "",
                "description": "",
            }
            model = {"id": self._id, "base_model_id": None, "name": "Echo", "meta": shown, "params": {}}
            made = await self._api.request("POST", "/api/v1/models/create", model)
        if made.status == 200:
            made = await self._api.request("GET", "/api/models")
        if made.status == 200:
            self.model = self._id
        else:
            self.error = made.error

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Delete it, also after a call that was given up."""
        if self._wanted:
            await self._delete_in_time()

    async def _delete_in_time(self) -> None:
        with anyio.move_on_after(_TO_DELETE, shield=True):
            await self._delete()

    async def _delete(self) -> None:
        """Delete model and pipe. Newer releases delete a model by POST, older ones by DELETE."""
        deleted = await self._api.request("POST", "/api/v1/models/model/delete", {"id": self._id})
        if deleted.status != 200:
            await self._api.request("DELETE", f"/api/v1/models/model/delete?id={self._id}")
        await self._api.request("DELETE", f"/api/v1/functions/id/{self._id}/delete")

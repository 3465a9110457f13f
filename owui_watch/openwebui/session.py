"""The server and the key that the settings name: connecting, reloading the key, and what to do if it is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import httpx

from owui_watch.files import Signature, signature
from owui_watch.openwebui.client import OpenWebUI
from owui_watch.openwebui.responses import Accepted, Denied, KeyProblem, Refused, Unavailable, not_open_webui
from owui_watch.settings import Layer, Settings, SettingsError, is_loopback, masked, reread_key


class Session:
    """Keeps the connection's key up to date with the files that it comes from.

    ``hide`` is called with each new key. ``on_problem`` is called with an error and a hint: once if the files that hold
    the key can't be used any more, and once for each entry in a list of the server's that can't be used. Raises
    SettingsError if there is no key, or if the environment's proxies or certificates can't be used.
    """

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        hide: Callable[[str], None],
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._settings = settings
        self._environ = environ
        self._hide = hide
        self._signatures = self._sign()
        self._error: str | None = None
        self.on_problem: Callable[[str, str], None] = lambda _error, _hint: None
        self.url = masked(settings.url)
        self.server = OpenWebUI(
            settings.url,
            settings.require_key().reveal(),
            shown_url=self.url,
            loopback=is_loopback(settings.url),
            ca_file=settings.ca_file,
            transport=transport,
            on_problem=self._report,
        )

    async def probe(self) -> Unavailable | Denied | None:
        """Connect with the current key. Return None if the server answers and accepts it."""
        self.reload_key()
        response = await self.server.connect()
        if isinstance(response, Accepted):
            return None
        if isinstance(response, Unavailable | Denied):
            return response
        return not_open_webui(response.reason if isinstance(response, Refused) else "another program's JSON", self.url)

    def reload_key(self) -> bool:
        """Read the key again; return whether it has changed."""
        try:
            settings, error = reread_key(self._settings, self._environ), None
        except SettingsError as wrong:
            settings, error = self._settings, str(wrong)
        before, self._error = self._error, error
        if error is not None and error != before:
            self.on_problem(error, "until this is fixed, owui-watch uses the key that it read before")
        if settings.key is None or settings.key == self._settings.key:
            return False
        self._settings = settings
        self._hide(settings.key.reveal())
        self.server.use_key(settings.key.reveal())
        return True

    def reload_key_if_changed(self) -> bool:
        """Read the key again if a file that it can come from has changed; return whether the key has changed.

        Cheap enough for every save.
        """
        before, self._signatures = self._signatures, self._sign()
        return self._signatures != before and self.reload_key()

    @property
    def key_renewal_hint(self) -> str:
        """Say how to replace the key by another one."""
        source = self._settings.key_source
        if source is not None and source.layer is Layer.ENVIRONMENT:
            return f"The key came from the {source}: set a new one there, and start owui-watch again."
        return f"Write a new key where this one came from ({source}): owui-watch notices it at once."

    def explain_denied(self, denied: Denied) -> tuple[str, str]:
        """Return what is wrong with the key, and what to do."""
        match denied.problem:
            case KeyProblem.KEY_REFUSED:
                page = f"In {self.url}: Settings → Account → API keys (or copy the JWT there)."
                return "the API key is refused: it is wrong, or expired", f"{page}\n{self.key_renewal_hint}"
            case KeyProblem.KEYS_OFF:
                return (
                    "API keys are switched off on this server",
                    "Start it with ENABLE_API_KEYS=true (ENABLE_API_KEY=true up to 0.6.36), or switch them on in\n"
                    "Admin Panel → Settings → General; or use a JWT. The next save tries again.",
                )
            case KeyProblem.KEY_RESTRICTED:
                return (
                    "this API key may not reach the endpoints for functions and tools",
                    "Allow /api/v1/functions and /api/v1/tools in Admin Panel → Settings → General (API key endpoint\n"
                    "restrictions), or use a JWT. The next save tries again.",
                )

    def _report(self, error: str, hint: str) -> None:
        self.on_problem(error, hint)

    def _sign(self) -> list[Signature | None]:
        return [signature(path) for path in self._settings.searched]

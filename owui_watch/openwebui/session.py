"""A server and a key, as the settings name them: connecting, and what to say where the key is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from owui_watch.files.regular import Signature, signature
from owui_watch.openwebui.client import OpenWebUI
from owui_watch.openwebui.responses import Accepted, Denied, KeyProblem, Refused, Unavailable, not_open_webui
from owui_watch.settings import Layer, Settings, SettingsError, is_loopback, masked, reread_key


class Session:
    """Keeps the connection's key up to date with the files it comes from.

    ``hide`` is called with each new key. ``on_problem`` is called once, with an error and a hint, if the files that
    hold the key can't be used any more.
    """

    def __init__(self, settings: Settings, environ: Mapping[str, str], hide: Callable[[str], None]) -> None:
        self._settings = settings
        self._environ = environ
        self._hide = hide
        self._looks = self._look()
        self._wrong: str | None = None
        self.on_problem: Callable[[str, str], None] = lambda _error, _hint: None
        self.url = masked(settings.url)
        self.server = OpenWebUI(
            settings.url,
            settings.require_key().reveal(),
            shown_url=self.url,
            loopback=is_loopback(settings.url),
            ca_file=settings.ca_file,
        )

    async def probe(self) -> Unavailable | Denied | None:
        """Connect, with the key as it is now. None where the server is there and lets it in."""
        self.reload_key()
        answer = await self.server.connect()
        if isinstance(answer, Accepted):
            return None
        if isinstance(answer, Unavailable | Denied):
            return answer
        return not_open_webui(answer.reason if isinstance(answer, Refused) else "another program's JSON", self.url)

    def reload_key(self) -> bool:
        """Read the key again; true where it is another one than before."""
        try:
            settings, wrong = reread_key(self._settings, self._environ), None
        except SettingsError as error:
            settings, wrong = self._settings, str(error)
        before, self._wrong = self._wrong, wrong
        if wrong is not None and wrong != before:
            self.on_problem(wrong, "until then the key stays the one that was read before")
        if settings.key is None or settings.key == self._settings.key:
            return False
        self._settings = settings
        self._hide(settings.key.reveal())
        self.server.use_key(settings.key.reveal())
        return True

    def reload_key_if_changed(self) -> bool:
        """Read the key again where a file that it can come from has changed; true where it is another one.

        Cheap enough for every save.
        """
        before, self._looks = self._looks, self._look()
        return self._looks != before and self.reload_key()

    def _look(self) -> list[Signature | None]:
        return [signature(path) for path in self._settings.searched]

    @property
    def key_renewal_hint(self) -> str:
        """How the key is replaced by another one."""
        source = self._settings.key_source
        if source is not None and source.layer is Layer.ENVIRONMENT:
            return f"This one came from the {source}: set the new one there and start again."
        return f"Put the new key where this one came from ({source}): it is noticed there."

    def explain_denied(self, denied: Denied) -> tuple[str, str]:
        """Say what is wrong with the key and what to do."""
        where = f"In {self.url}: Settings → Account → API keys (or copy the JWT there)."
        match denied.problem:
            case KeyProblem.KEY_REFUSED:
                return "the API key is refused: it is wrong, or expired", f"{where}\n{self.key_renewal_hint}"
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

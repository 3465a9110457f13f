"""What is sent: the form of an update or a create, as each release takes it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from owui_watch.openwebui.releases import Release, Sharing
from owui_watch.openwebui.remote import Remote
from owui_watch.plugins.model import Plugin, PluginKey, Space

_RECOMPUTED = {"manifest", "toggle"}
"""Keys of ``meta`` that the server makes from the code; an echoed ``toggle`` would outlive it (0.6.31 to 0.11.4)."""


def update_form(plugin: Plugin, remote: Remote | None, release: Release) -> dict[str, Any]:
    """Build the form for ``plugin``; ``remote`` is what it replaces, None for a create.

    Where the header is silent, what stands on the server stays; a new plugin is named after its id, in words.
    """
    kept = _kept(remote)
    name = plugin.header.get("title") or (remote.name if remote else plugin.id.replace("_", " ").strip().title())
    description = plugin.header.get("description") or kept.get("description") or ""
    form = _form(plugin.key, name, plugin.content, {**kept, "description": description}, remote, release)
    if release.history:
        form["commit_message"] = _commit_message(plugin, remote)
    return form


def put_back_form(remote: Remote, release: Release) -> dict[str, Any]:
    """Build the form that sends a plugin's own content again."""
    return _form(remote.key, remote.name, remote.content or "", _kept(remote), remote, release)


def _form(
    key: PluginKey, name: str, content: str, meta: Mapping[str, Any], remote: Remote | None, release: Release
) -> dict[str, Any]:
    """Keep a tool's sharing as it is, and make a new one private.

    0.4 to 0.7 make a tool public where its ``access_control`` is left out, so it is echoed, and a new tool gets ``{}``
    (private); 0.8 and newer keep it where ``access_grants`` is left out, and create private ones.
    """
    form: dict[str, Any] = {"id": key.id, "name": name, "content": content, "meta": dict(meta)}
    if key.space is Space.TOOLS and release.sharing is Sharing.CONTROL:
        form["access_control"] = remote.access if remote else {}
    return form


def _kept(remote: Remote | None) -> dict[str, Any]:
    return {name: value for name, value in remote.meta.items() if name not in _RECOMPUTED} if remote else {}


def _commit_message(plugin: Plugin, remote: Remote | None) -> str:
    before, after = remote.version if remote else None, plugin.version
    change = f"{before} → {after}" if before and after and before != after else after or "saved"
    return f"{change} ({_short(plugin.path)}, owui-watch)"


def _short(path: Path) -> str:
    """Return the file's name and its folder's; a byte that is no UTF-8 can't be sent and becomes a question mark."""
    return "/".join(path.parts[-2:]).encode(errors="replace").decode()

"""The form of an update or a create, as each release takes it. Merges name and description from three sides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from owui_watch.openwebui.releases import Release, Sharing
from owui_watch.openwebui.remote import ListedPlugin, Remote
from owui_watch.plugins.frontmatter import full_description
from owui_watch.plugins.model import Plugin, PluginKey, Space

_RECOMPUTED = {"manifest", "toggle"}
"""Keys of ``meta`` that the server makes from the code; an echoed ``toggle`` would outlive it (0.6.31 to 0.11.4)."""


@dataclass(frozen=True, slots=True)
class Naming:
    """Name and description of a plugin. Each is None if it is not known or not in the header."""

    name: str | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class MergedNaming:
    """The ``name`` and ``description`` to send.

    ``kept`` holds values of the server that are sent instead of the header's. ``overridden`` holds values of the server
    that are replaced although owui-watch did not set them: they go into a backup.
    """

    name: str
    description: str
    kept: Naming = Naming()
    overridden: Naming = Naming()


def header_naming(plugin: Plugin) -> Naming:
    """Return name and description of a plugin's header: the base for the next merge once they are deployed."""
    return Naming(plugin.header.get("title") or None, full_description(plugin.content) or None)


def merge_naming(plugin: Plugin, remote: Remote | ListedPlugin | None, base: Naming) -> MergedNaming:
    """Merge name and description from the header and the server's copy, given the header that was deployed last.

    What only the server changed since ``base`` stays. What both changed, and what has no base, is the header's. If the
    header has no value, the server's stays; a new plugin is named after its id, in words.
    """
    header = header_naming(plugin)
    if remote is None:
        return MergedNaming(header.name or plugin.id.replace("_", " ").strip().title(), header.description or "")
    name = _merge(base.name, header.name, remote.name)
    description = _merge(base.description, header.description, remote.description)
    return MergedNaming(
        name.value,
        description.value,
        kept=Naming(name.kept, description.kept),
        overridden=Naming(name.overridden, description.overridden),
    )


def update_form(
    plugin: Plugin, remote: Remote | ListedPlugin | None, release: Release, base: Naming = Naming()
) -> dict[str, Any]:
    """Build the form for ``plugin``. ``remote`` is the copy that it replaces, None for a create.

    All metadata of the server's copy is carried over, except what the server makes itself. ``base`` is the header that
    was deployed last, for ``merge_naming``.
    """
    naming = merge_naming(plugin, remote, base)
    meta = {**_carried_over(remote), "description": naming.description}
    form = _form(plugin.key, naming.name, plugin.content, meta, remote, release)
    if release.history:
        form["commit_message"] = _commit_message(plugin, remote)
    return form


def put_back_form(remote: Remote, release: Release) -> dict[str, Any]:
    """Build the form that sends a plugin's own content again."""
    return _form(remote.key, remote.name, remote.content, _carried_over(remote), remote, release)


@dataclass(frozen=True, slots=True)
class _Merged:
    value: str
    kept: str | None = None
    overridden: str | None = None


def _merge(base: str | None, header: str | None, server: str) -> _Merged:
    if header is None or header == server:
        return _Merged(server)
    if base is None:
        return _Merged(header, overridden=server or None)
    if server == base:
        return _Merged(header)
    return _Merged(server, kept=server) if header == base else _Merged(header, overridden=server or None)


def _form(
    key: PluginKey,
    name: str,
    content: str,
    meta: Mapping[str, Any],
    remote: Remote | ListedPlugin | None,
    release: Release,
) -> dict[str, Any]:
    """Keep a tool's sharing as it is, and make a new one private.

    0.4 to 0.7 make a tool public if its ``access_control`` is left out, so it is sent back, and a new tool gets ``{}``
    (private); 0.8 and newer keep it if ``access_grants`` is left out, and create private ones.
    """
    form: dict[str, Any] = {"id": key.id, "name": name, "content": content, "meta": dict(meta)}
    if key.space is Space.TOOLS and release.sharing is Sharing.CONTROL:
        form["access_control"] = remote.access if remote else {}
    return form


def _carried_over(remote: Remote | ListedPlugin | None) -> dict[str, Any]:
    return {name: value for name, value in remote.meta.items() if name not in _RECOMPUTED} if remote else {}


def _commit_message(plugin: Plugin, remote: Remote | ListedPlugin | None) -> str:
    before, after = remote.version if remote else None, plugin.version
    change = f"{before} → {after}" if before and after and before != after else after or "saved"
    return f"{change} ({_short(plugin.path)}, owui-watch)"


def _short(path: Path) -> str:
    """Return the names of the file and its folder. Bytes that are no UTF-8 can't be sent and become question marks."""
    return f"{path.parent.name}/{path.name}".encode(errors="replace").decode()

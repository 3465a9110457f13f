"""Lookups of files by plugin, content and title."""

from __future__ import annotations

from pathlib import Path

from owui_watch.plugins.index import Entries, TreeEntry
from owui_watch.plugins.model import Kind, PluginKey, Space

X, Y = PluginKey(Space.FUNCTIONS, "x"), PluginKey(Space.FUNCTIONS, "y")
A, B, DEEP = Path("/plugins/a.py"), Path("/plugins/b.py"), Path("/plugins/deep/a.py")


def entry(key: PluginKey, *, title: str = "X", digest: str | None = "1") -> TreeEntry:
    return TreeEntry(key, Kind.FILTER, title, True, digest)


class TestLookup:
    def test_by_plugin_finds_both_files_of_a_clash(self) -> None:
        entries = Entries()
        entries.put(A, entry(X))
        entries.put(B, entry(X))

        assert sorted(entries.with_key(X)) == [A, B]
        assert entries.keys() == {X}

    def test_by_content_finds_files_anywhere(self) -> None:
        entries = Entries()
        entries.put(A, entry(X))
        entries.put(DEEP, entry(Y))

        assert sorted(entries.with_digest("1")) == [A, DEEP]
        assert entries.with_digest("2") == ()

    def test_by_title_finds_one_folders_files_in_order(self) -> None:
        entries = Entries()
        for path in (B, DEEP, A):
            entries.put(path, entry(X))

        assert [path for path, _ in entries.titled(A.parent, "X")] == [A, B]

    def test_without_title_and_digest_uses_the_path(self) -> None:
        entries = Entries()
        entries.put(A, entry(X, title="", digest=None))

        assert entries.get(A) == entry(X, title="", digest=None)
        assert entries.titled(A.parent, "") == []


class TestChange:
    def test_new_entry_replaces_the_old_one_everywhere(self) -> None:
        entries = Entries()
        entries.put(A, entry(X))
        entries.put(A, entry(Y, title="Y", digest="2"))

        assert (entries.has(X), entries.with_digest("1"), entries.titled(A.parent, "X")) == (False, (), [])
        assert (entries.with_key(Y), entries.with_digest("2")) == ((A,), (A,))

    def test_removed_entry_leaves_the_others(self) -> None:
        entries = Entries()
        entries.put(A, entry(X))
        entries.put(B, entry(X))
        entries.remove(A)
        entries.remove(A)

        assert A not in entries
        assert (entries.with_key(X), entries.with_digest("1")) == ((B,), (B,))

"""Results remembered by the digest of a text."""

from __future__ import annotations

from owui_watch.plugins.content_cache import remembered

CALLED: list[tuple[str, int]] = []


@remembered(2)
def length(text: str, factor: int = 1) -> int:
    CALLED.append((text, factor))
    return factor * len(text)


class TestRemembered:
    def test_asks_once_for_each_text_and_argument(self) -> None:
        CALLED.clear()
        assert [length("ab"), length("ab"), length("ab", 2), length("ab", 2)] == [2, 2, 4, 4]
        assert CALLED == [("ab", 1), ("ab", 2)]

    def test_forgets_what_was_used_longest_ago(self) -> None:
        for text in ("x", "xy", "x", "xyz"):
            length(text)
        CALLED.clear()
        for text in ("x", "xyz", "xy"):
            length(text)
        assert CALLED == [("xy", 1)]

"""JSON in parts: whatever bytes come, nothing is raised, and one bad row spoils only itself."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from owui_watch.openwebui import json_stream
from owui_watch.openwebui.json_stream import MAX_BYTES, MAX_ROWS, MAX_VALUES, JsonRows, Unreadable, parse, parse_start

BROKEN = Unreadable("broken JSON")
ODD = [
    b"NaN",
    b"[Infinity]",
    b"-Infinity",
    b"1e999",
    b"9" * 5_000,
    b'{"a" 1}',
    b'"\x01"',
    b"tru",
    b"1 2",
]
TOO_DEEP = Unreadable("JSON nested more than 100 levels deep")


def rows_of(text: bytes, size: int | None = None) -> tuple[list[Any], JsonRows]:
    found: list[Any] = []
    rows = JsonRows(found.append)
    for start in range(0, len(text), size or len(text) or 1):
        if not rows.feed(text[start : start + (size or len(text))]):
            break
    return found, rows


class TestOneText:
    @pytest.mark.parametrize("text", [b"null", b"5", b'"x"', b"{}", b'{"a": [1, 2.5, "\\u20ac"]}', b"\xef\xbb\xbf[]"])
    def test_json_reads_as_the_library_does(self, text: bytes) -> None:
        assert parse(text) == json.loads(text.decode("utf-8-sig"))

    @pytest.mark.parametrize("text", [b"", *ODD], ids=lambda text: text[:12])
    def test_odd_json_is_broken(self, text: bytes) -> None:
        assert parse(text) == BROKEN

    def test_bytes_are_utf8_whatever_they_are(self) -> None:
        assert parse(b'"\xff"') == "\ufffd"
        assert parse('"x"'.encode("utf-16")) == BROKEN

    @pytest.mark.parametrize("opening", [b"[", b'{"a":'])
    def test_deep_nesting_is_refused(self, opening: bytes) -> None:
        assert parse(opening * 200_000) == TOO_DEEP

    def test_too_many_values_are_refused(self) -> None:
        assert parse(b"[" + b"[]," * MAX_VALUES + b"[]]") == Unreadable("JSON of more than 200,000 values")

    @given(st.binary(max_size=200))
    def test_no_bytes_raise(self, text: bytes) -> None:
        parse(text)


class TestBeginOfAnError:
    def test_text_is_cut(self) -> None:
        assert parse_start(b'{"detail":"' + b"x" * MAX_BYTES) == {"detail": "x" * 16_384}

    @pytest.mark.parametrize("shift", range(12))
    def test_text_is_cut_between_escapes(self, shift: int) -> None:
        body = parse_start(b'{"detail":"' + b"x" * shift + rb"\ud83d\ude00" * 10_000)
        assert body["detail"].startswith("x" * shift + "\U0001f600")
        assert set(body["detail"].lstrip("x")) <= {"\U0001f600", "\ud83d"}

    def test_text_that_ends_early(self) -> None:
        assert parse_start(b'{"detail":"short \\" text","more":"' + b"x" * MAX_BYTES) == {"detail": 'short " text'}

    def test_value_that_is_no_text_is_unreadable(self) -> None:
        assert parse_start(b'{"detail":[' + b"x" * MAX_BYTES) == Unreadable("more than 8 MB")


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=10,
)


class TestRows:
    @given(st.lists(JSON_VALUES, max_size=6), st.integers(1, 40), st.booleans(), st.sampled_from([None, 2]))
    def test_rows_arrive_in_parts(self, values: list[Any], size: int, ascii_only: bool, indent: int | None) -> None:
        text = json.dumps(values, ensure_ascii=ascii_only, indent=indent).encode("utf-8", "surrogatepass")
        found, rows = rows_of(text, size)
        assert (found, rows.rows, rows.complete) == (
            [parse(json.dumps(each).encode()) for each in values],
            len(values),
            True,
        )

    @given(st.lists(st.text('\\"[]{},x'), max_size=5), st.integers(1, 5))
    def test_escapes_and_quotes_are_no_structure(self, values: list[str], size: int) -> None:
        assert rows_of(json.dumps(values).encode(), size)[0] == values

    def test_first_list_in_an_object(self) -> None:
        found, rows = rows_of(b'{"total": 2, "data": [{"id": "a"}, {"id": "b"}], "x": [1]}')
        assert (found, rows.complete) == ([{"id": "a"}, {"id": "b"}], True)

    @pytest.mark.parametrize("odd", ODD, ids=lambda text: text[:12])
    @pytest.mark.parametrize("size", [1, 7, None])
    def test_odd_row_spoils_only_itself(self, odd: bytes, size: int | None) -> None:
        found, rows = rows_of(b'[{"id": "a"},' + odd + b',{"id": "b"}]', size)
        assert (found, rows.rows, rows.complete) == ([{"id": "a"}, BROKEN, {"id": "b"}], 3, True)

    @pytest.mark.parametrize("size", [4_096, None])
    def test_deep_row_spoils_only_itself(self, size: int | None) -> None:
        deep = b"[" * 50_000 + b"]" * 50_000
        found, rows = rows_of(b"[1," + deep + b",2]", size)
        assert (found, rows.complete) == ([1, TOO_DEEP, 2], True)

    @pytest.mark.parametrize("text", [b"", b"[", b"[1", b'["x', b"[1,", b'{"a": 1}', b"5", b'{"a": {"b": [1]}}'])
    def test_no_list_or_one_that_is_cut_off(self, text: bytes) -> None:
        assert not rows_of(text)[1].complete

    @pytest.mark.parametrize("text", [b"[]", b" [ ] ", b'{"data": []}'])
    def test_empty_list_is_complete_without_rows(self, text: bytes) -> None:
        found, rows = rows_of(text, 1)
        assert (found, rows.complete) == ([], True)

    @given(st.binary(max_size=200) | st.text('[]{},"\\ 1', max_size=60).map(str.encode), st.integers(1, 9))
    def test_any_bytes_give_the_counted_rows(self, text: bytes, size: int) -> None:
        found, rows = rows_of(text, size)
        assert len(found) == rows.rows

    def test_too_many_rows_end_the_list(self) -> None:
        found, rows = rows_of(b"[" + b"1," * (MAX_ROWS + 10), 65_536)
        assert (len(found), rows.complete) == (MAX_ROWS + 1, False)


class TestBounds:
    def test_memory_is_one_row(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(json_stream, "MAX_BYTES", 100_000)
        rows = JsonRows(lambda _: None)
        row = b'{"content": "' + b"x" * 50_000 + b'"},'
        rows.feed(b"[")
        tracemalloc.start()
        try:
            for _ in range(400):  # 20 MB
                rows.feed(row)
            rows.feed(b'"')
            for _ in range(400):  # a string of 20 MB
                rows.feed(b"\\x" * 25_000)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert rows.rows == 400
        assert peak < 1_000_000

    @pytest.mark.parametrize("filler", [b" ", b'"x",', b"{", b"\\", b"["], ids=repr)
    def test_row_without_end_needs_no_memory(self, filler: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(json_stream, "MAX_BYTES", 4_000)
        rows = JsonRows(lambda _: None)
        rows.feed(b'[{"a": ["' if filler == b"\\" else b'[{"a": [')
        part = filler * (2_048 // len(filler))
        tracemalloc.start()
        try:
            for _ in range(12):
                rows.feed(part)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 22_000

    def test_row_without_end_ends_the_list(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(json_stream, "MAX_SKIPPED_BYTES", 100_000)
        found, rows = rows_of(b'["' + b"x" * 9 * 2**20 + b'", 1]', 65_536)
        assert (found, rows.complete) == ([], False)

    def test_oversized_row_spoils_only_itself(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(json_stream, "MAX_BYTES", 100_000)
        found, rows = rows_of(b'["' + b"x" * 300_000 + b'",1]', 65_536)
        assert (found, rows.complete) == ([Unreadable("more than 0 MB"), 1], True)

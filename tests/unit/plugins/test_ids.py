"""From a path and a header to an id: one id for one path, and one that the server keeps as it is."""

from __future__ import annotations

import itertools
from pathlib import PurePath, PurePosixPath

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from owui_watch.plugins.ids import PluginId, normalise, plugin_id
from owui_watch.plugins.model import Diagnostic
from owui_watch.sandbox import Sandbox
from tests.conftest import EXAMPLES

TRICKY = [
    "My.Filter",
    "a-b c",
    "ﬁle",
    "ÄÖÜ",
    "ǅ",
    "İd",
    "ﷺ",
    "ﬀ.ﬀ",
    "K",
    "ſ",
    "ß",
    "ẞ",
    "Σας",
    "ⅷ",
    "ᾈ",
    "x\u0345",
    "class",
    "³d",
]
NAMES = st.one_of(
    st.sampled_from(TRICKY),
    st.text(min_size=1, max_size=12),
    st.from_regex(r"[A-Za-z_][A-Za-z0-9_ .-]{0,12}", fullmatch=True),
)


def id_of(path: str, header: dict[str, str] | None = None, assigned: str | None = None) -> str:
    found = plugin_id(PurePosixPath(path), header or {}, assigned)
    assert isinstance(found, PluginId), found
    return found.id


PARTS = st.one_of(st.sampled_from(["filters", "src", "plugins", "main", "My-RAG", "tools", "pipe", "x.y"]), NAMES)
PATHS = st.lists(PARTS.map(lambda part: part.replace("/", "_").strip(".") or "_"), min_size=1, max_size=5)


GENERIC = ["main", "plugin", "index", "__init__", "function", "tool", "filter", "pipe", "action", "event"]
KINDS = ["plugin", "function", "tool", "pipe", "filter", "action", "event", "pipeline", "src"]


class TestNormalise:
    @settings(max_examples=4 * EXAMPLES)
    @given(NAMES)
    @example("ﷺ")
    @example("İ.İ")
    @example("x\u1d2c")
    def test_is_idempotent(self, name: str) -> None:
        assert normalise(normalise(name)) == normalise(name)
        assert normalise(name) == normalise(name).lower()

    @settings(max_examples=4 * EXAMPLES)
    @given(NAMES, st.none() | NAMES, st.none() | NAMES)
    def test_every_id_is_accepted_by_the_server(self, stem: str, header: str | None, assigned: str | None) -> None:
        found = plugin_id(PurePath("f") / f"{stem.replace('/', '_')}.py", {"id": header} if header else {}, assigned)
        if isinstance(found, PluginId):
            assert found.id.isidentifier()
            assert found.id == found.id.lower() == normalise(found.id)
            assert found.inferred is (header is None and assigned is None)
        else:
            assert "id" in found.error
            assert found.hint


class TestPath:
    @settings(max_examples=2 * EXAMPLES)
    @given(PATHS)
    @example(["plugins", "my-rag", "filters", "main"])
    def test_id_does_not_depend_on_the_watched_folder(self, parts: list[str]) -> None:
        parts[-1] += ".py"
        found = [plugin_id(PurePosixPath(*parts[start:]), {}) for start in range(len(parts))]
        assert len({each.id for each in found if isinstance(each, PluginId)}) <= 1
        assert found == [plugin_id(PurePosixPath(*parts[start:]), {}) for start in range(len(parts))]

    @pytest.mark.parametrize(
        ("path", "expected"),
        [
            ("filters/async-context-compression/async_context_compression.py", "async_context_compression"),
            ("actions/deep-dive/deep_dive.py", "deep_dive"),
            ("actions/deep-dive/deep_dive_cn.py", "deep_dive_cn"),
            ("functions/pipes/my-rag/main.py", "my_rag"),
            ("filters/My.Filter.py", "my_filter"),
        ],
    )
    def test_path_gives_the_id_of_the_table(self, path: str, expected: str) -> None:
        assert id_of(path) == expected

    @pytest.mark.parametrize("path", ["filters/main.py", "tools/3d.py"])
    def test_error_asks_for_an_id_line(self, path: str) -> None:
        found = plugin_id(PurePosixPath(path), {})
        assert isinstance(found, Diagnostic)
        assert found.hint is not None
        assert "add a line `id: my_plugin` to the header" in found.hint

    @pytest.mark.parametrize("stem", [*GENERIC, "Main", "FILTER"])
    def test_generic_stem_takes_the_folder(self, stem: str) -> None:
        for folder in (*GENERIC, *KINDS, *(f"{kind}s" for kind in KINDS), "Filters"):
            assert id_of(f"outer/My-Own/{folder}/{stem}.py") == "my_own"
            assert isinstance(plugin_id(PurePosixPath(f"{folder}/{stem}.py"), {}), Diagnostic)
        assert isinstance(plugin_id(PurePosixPath(f"{stem}.py"), {}), Diagnostic)

    def test_folder_that_makes_no_id_is_an_error(self) -> None:
        found = plugin_id(PurePosixPath("good/3d/main.py"), {})
        assert found == Diagnostic(
            "“3d” (the folder's name) can't be an id: Open WebUI allows only letters, digits and _, and no digit at the start",
            hint="add a line `id: my_plugin` to the header",
            rule="id",
        )


class TestAuthor:
    def test_settings_before_header_before_path(self) -> None:
        for assigned, header in itertools.product((None, "From-Settings"), ({}, {"id": "From.Header"}, {"id": ""})):
            by_hand = assigned or header.get("id") or ""
            expected = {"From-Settings": "from_settings", "From.Header": "from_header", "": "own"}[by_hand]
            for path in ("own/main.py", "filters/own.py"):
                found = plugin_id(PurePosixPath(path), header, assigned)
                assert found == PluginId(expected, inferred=not by_hand)

    @pytest.mark.parametrize(
        ("header", "assigned", "origin", "hint"),
        [
            ({"id": "3d"}, None, "id: in the header", "change that line"),
            ({"id": "good"}, "a/b", "[ids] in the settings", "change it there"),
            ({"id": "good"}, "", "[ids] in the settings", "change it there"),
        ],
    )
    def test_bad_id_is_an_error_at_its_origin(
        self, header: dict[str, str], assigned: str | None, origin: str, hint: str
    ) -> None:
        found = plugin_id(PurePosixPath("filters/own.py"), header, assigned)
        assert isinstance(found, Diagnostic)
        assert origin in found.error
        assert found.hint == hint


class TestServer:
    def test_keeps_normalised_ids(self, openwebui: Sandbox) -> None:
        code = "class Filter:\n    inlet = 1\n"
        made: set[str] = set()
        with httpx.Client(
            base_url=f"{openwebui.url}/api/v1/functions/",
            headers={"Authorization": f"Bearer {openwebui.token}"},
            trust_env=False,
            timeout=30,
        ) as client:

            def create(name: str) -> str | None:
                answer = client.post("create", json={"id": name, "name": "x", "content": code, "meta": {}})
                if answer.status_code == 200:
                    made.add(answer.json()["id"])
                    client.delete(f"id/{answer.json()['id']}/delete").raise_for_status()
                    return str(answer.json()["id"])
                assert answer.json()["detail"].startswith("Only alphanumeric characters and underscores")
                return None

            for name in TRICKY:
                assert create(name) == (name.lower() if name.isidentifier() else None)
                ours = plugin_id(PurePosixPath(f"{name}.py"), {})
                assert create(normalise(name)) == (ours.id if isinstance(ours, PluginId) else None)
        assert {"class", "my_filter", "a_b_c", "äöü"} <= made

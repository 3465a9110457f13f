"""What a refusal tells the author: the line, the server's own words, and the way out. And what versions are worth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePath

import pytest

from owui_watch.deployer.attempt import version_warnings
from owui_watch.deployer.refusals import (
    explain,
    foreign_copy,
    keeps_changing,
    no_right,
    not_backed_up,
    not_put_back,
    not_switched,
)
from owui_watch.deployer.remote_duplicates import twin_found
from owui_watch.openwebui.releases import release
from owui_watch.openwebui.remote import Remote
from owui_watch.openwebui.responses import Forbidden, Refused
from owui_watch.plugins.frontmatter import parse_header
from owui_watch.plugins.model import Diagnostic, Kind, Plugin, PluginKey, Severity, Space
from owui_watch.plugins.reader import read_plugin

CODE = """\
\"\"\"
title: My Filter
version: 1.2
requirements: zz-not-there==9
\"\"\"
import os
\x0c
import zz_not_there.part
from configparser import ConfigParser


class Filter:
    class Valves(BaseModel):
        n: list
        req: str
"""


def plugin(content: str = CODE, kind: Kind = Kind.FILTER) -> Plugin:
    key = PluginKey(kind.space, "my_filter")
    return Plugin(key, kind, Path("/w/my_filter.py"), content, parse_header(content), inferred=True)


def remote(version: str | None = "1.0", *, active: bool = True) -> Remote:
    meta = {"manifest": {"version": version} if version else {}}
    return Remote(
        PluginKey(Space.FUNCTIONS, "other"), Kind.FILTER, "Other Filter", "", meta, active=active, is_global=False
    )


def explained(reason: str, content: str = CODE) -> Diagnostic:
    return explain(Refused(reason), plugin(content), release("0.12.4"))


class TestMissingName:
    @pytest.mark.parametrize(
        ("reason", "error", "line", "hint"),
        [
            (
                "cannot import name 'Chats' from 'open_webui.models.chats' (/app/backend/open_webui/models/chats.py)",
                "cannot import name 'Chats' from 'open_webui.models.chats'",
                2,
                "open_webui.models.chats of Open WebUI 0.12.4 has no Chats: other releases may have it elsewhere",
            ),
            (
                "cannot import name 'run' from 'httpx' (/usr/lib/python3.11/site-packages/httpx/__init__.py)",
                "cannot import name 'run' from 'httpx'",
                3,
                "the httpx that is installed where Open WebUI runs has no run: ask for a version in `requirements:`",
            ),
            (
                "cannot import name 'run' from 'httpx' (unknown location)",
                "cannot import name 'run' from 'httpx'",
                3,
                "the httpx that is installed where Open WebUI runs has no run: ask for a version in `requirements:`",
            ),
            (
                "cannot import name 'run' from partially initialized module 'httpx' (most likely due to a circular "
                "import) (C:\\Python\\httpx.py)",
                "cannot import name 'run' from partially initialized module 'httpx' (most likely due to a circular "
                "import)",
                3,
                "httpx and the module that imports it import each other",
            ),
        ],
    )
    def test_is_shown_at_its_import(self, reason: str, error: str, line: int, hint: str) -> None:
        content = "import os\nfrom open_webui.models.chats import Chats\nfrom httpx import (\n    run,\n)\n"
        diagnostic = explained(reason, content)
        assert (diagnostic.error, diagnostic.line, diagnostic.hint) == (error, line, hint)


class TestPlace:
    def test_line_named_by_the_server_is_shown(self) -> None:
        diagnostic = explained("expected ':' (<string>, line 12)")
        assert diagnostic == Diagnostic("expected ':'", line=12, source="class Filter:")
        assert explained("bad (<unknown>, line 999)") == Diagnostic("bad", line=999)
        assert explained(f"bad (<string>, line {'9' * 5000})") == Diagnostic(f"bad (<string>, line {'9' * 5000})")

    def test_unfit_valves_are_shown_at_their_line(self) -> None:
        words = "Current Valves are incompatible with this code: n: Input should be a valid list"
        assert explained(words) == Diagnostic(
            words,
            line=14,
            source="        n: list",
            hint="change the valve n in Open WebUI, or make the new code accept the old value",
        )

    def test_valve_without_default_is_shown_at_its_line(self) -> None:
        words = (
            "1 validation error for Valves\nreq\n  Field required [type=missing, input_value={}, input_type=dict]\n"
            "    For further information visit https://errors.pydantic.dev/2/v/missing"
        )
        diagnostic = explained(words)
        assert diagnostic == Diagnostic(
            "1 validation error for Valves\nreq\n  Field required [type=missing, input_value={}, input_type=dict]",
            line=15,
            source="        req: str",
            hint="give Valves.req a default",
        )


class TestRequirements:
    def test_failing_ones_are_shown_at_their_line(self) -> None:
        words = "Command '['/v/bin/python', '-m', 'pip', 'install', 'zz-not-there==9', 'b']' returned non-zero exit status 1."
        assert explained(words) == Diagnostic(
            "pip could not install zz-not-there==9 b on the server",
            line=4,
            source="requirements: zz-not-there==9",
            hint="see pip's output in the server's log",
        )
        assert explained(words, "class Filter: ...\n").line is None

    @pytest.mark.parametrize(
        ("header", "line"),
        [
            ('from __future__ import annotations\n"""\nrequirements: zz_not_there\n"""\n', 3),
            ("# title: x\n# requirements: zz_not_there\n", 2),
            ('"""\ntitle: x\nrequirements : zz_not_there\n"""\n', 3),
            ('"""\ntitle: x\nRequirements: a, zz_not_there>=1\n"""\n', 3),
            ("'''\nrequirements: zz_not_there\n'''\n", 2),
        ],
    )
    def test_unread_one_is_named(self, header: str, line: int) -> None:
        text = f"{header}import zz_not_there\nclass Filter:\n    def inlet(self): ...\n"
        parsed = read_plugin(text.encode(), Path("/w/x.py"), PurePath("x.py"))
        assert isinstance(parsed, Plugin)
        hint = explain(Refused("No module named 'zz_not_there'"), parsed, release("0.12.4")).hint
        assert hint is not None
        assert hint.startswith(f"Open WebUI does not read the `requirements:` in line {line}: ")
        assert hint.endswith(parsed.warnings[0].hint or "")

    def test_missing_module_is_shown_at_its_import(self) -> None:
        assert explained("No module named 'zz_not_there.part'") == Diagnostic(
            "No module named 'zz_not_there.part'",
            line=8,
            source="import zz_not_there.part",
            hint="add `requirements: zz_not_there` to the header, or install it where Open WebUI runs",
        )
        assert explained("No module named 'elsewhere'").line is None
        assert explained(f"No module named '{'x' * 5000}'").line is None

    def test_module_rewritten_by_the_server_is_none(self) -> None:
        assert explained("No module named 'open_webui.configparser'") == Diagnostic(
            "No module named 'open_webui.configparser'",
            line=9,
            source="from configparser import ConfigParser",
            hint="Open WebUI turns `from configparser` into `from open_webui.configparser`; "
            "`import configparser` stays as it is",
        )

    @pytest.mark.parametrize(
        ("code", "line"),
        [
            ("import open_webui.models.users\nfrom open_webui.utils.nope import x\n", 2),
            ("import open_webui.models.users, os\nimport open_webui.utils.nope as x\n", 2),
            ("from utils.misc import y\nfrom utils.nope import x\n", 2),
            ("x = __import__('open_webui.utils.nope')\n", None),
        ],
    )
    def test_module_missing_in_open_webui_is_none(self, code: str, line: int | None) -> None:
        assert explained("No module named 'open_webui.utils.nope'", code) == Diagnostic(
            "No module named 'open_webui.utils.nope'",
            line=line,
            source=code.splitlines()[line - 1] if line else None,
            hint="Open WebUI 0.12.4 has no such module",
        )

    @pytest.mark.parametrize("beside", ["util.py", "util/__init__.py"])
    def test_module_beside_the_plugin_is_none(self, tmp_path: Path, beside: str) -> None:
        (tmp_path / beside).parent.mkdir(exist_ok=True)
        (tmp_path / beside).touch()
        mine = replace(plugin("import os\nfrom util.text import x\n"), path=tmp_path / "my_filter.py")
        name = beside.partition("/")[0]
        assert explain(Refused("No module named 'util'"), mine, release("0.12.4")) == Diagnostic(
            "No module named 'util'",
            line=2,
            source="from util.text import x",
            hint=f"{name} lies beside it: write `from . import util`, and owui-watch sends it along",
        )


class TestServersWords:
    @pytest.mark.parametrize("reason", ["No Function class found in the module", "name 'x' is not defined", "ünïcödé"])
    def test_other_reasons_are_quoted(self, reason: str) -> None:
        assert explained(reason) == Diagnostic(reason)

    def test_error_without_a_text_says_so(self) -> None:
        assert explained("") == Diagnostic(
            "its code raised an exception without a message while the server loaded it", hint="a bare assert?"
        )

    def test_hidden_reason_is_quoted(self) -> None:
        hidden = Refused("Error updating function", hidden=True)
        assert explain(hidden, plugin(), release("0.11.4")) == Diagnostic(
            "Open WebUI refused the plugin and gives no reason (Error updating function)",
            hint="its code failed while the server loaded it, or the server's database failed: see the server's log",
        )

    @pytest.mark.parametrize("reason", ["No Function class found in the module", ""])
    def test_unsupported_event_names_the_first_release(self, reason: str) -> None:
        event = plugin("class Event:\n    def event(self): ...\n", Kind.EVENT)
        assert explain(Refused(reason), event, release("0.9.6")) == Diagnostic(
            "Open WebUI 0.9.6 has no Event functions", hint="they need Open WebUI 0.10 or newer"
        )
        assert explain(Refused("x"), event, release("0.10.0")) == Diagnostic("x")

    def test_refusal_is_never_reported_as_something_else(self) -> None:
        for reason in ("[ERROR: x]", "Function not found here", "id already"):
            assert explained(reason).error == reason

    def test_each_other_outcome_has_its_words(self) -> None:
        assert no_right() == Diagnostic(
            "the API key's user is not allowed to deploy this plugin",
            hint="use an administrator's key; for tools, a user with the permission for workspace tools is enough",
        )
        assert foreign_copy(release("0.11.4")) == Diagnostic(
            "the server's copy was changed by someone else, and on_foreign is refuse",
            hint="copy the change into the file, or set on_foreign to backup",
        )
        assert "(its history has it)" in foreign_copy(release("0.12.0")).error
        assert not_switched(remote(active=False), is_global=False) == Diagnostic(
            "Other Filter is off on the server and could not be switched on",
            hint="switch it on in Open WebUI: Admin Panel → Functions",
        )
        assert not_switched(remote(active=True), is_global=False) == Diagnostic(
            "Other Filter is on on the server and could not be switched off",
            hint="switch it off in Open WebUI: Admin Panel → Functions",
        )
        assert not_switched(remote(), is_global=True).error == "Other Filter could not be switched on for all models"
        assert not_put_back(remote(), Refused("why")).error.endswith("putting the old one back failed: why")
        assert not_put_back(remote(), Forbidden()).error.endswith("failed: the key's user may not")
        assert not_backed_up("disk full").error.endswith("could not be saved: disk full")
        assert keeps_changing().error == "something else keeps changing this plugin on the server"

    def test_twin_names_the_lines_that_decide(self) -> None:
        assert twin_found(plugin(), remote()) == Diagnostic(
            "the server seems to have this plugin already, as other (“Other Filter”)",
            hint="add `id: other` to the header to update that one, or `id: my_filter` to create a second one",
            rule="twin",
        )


class TestAdvice:
    def test_newer_required_open_webui_is_a_warning(self) -> None:
        content = '"""\ntitle: x\nrequired_open_webui_version: 0.13.0\n"""\nclass Filter: ...\n'
        assert version_warnings(plugin(content), None, "0.12.4") == [
            Diagnostic(
                "it requires Open WebUI 0.13.0, but the server runs 0.12.4",
                line=3,
                source="required_open_webui_version: 0.13.0",
                hint="deployed anyway: the server ignores this line",
                severity=Severity.WARNING,
                rule="header-required_open_webui_version",
            )
        ]

    @pytest.mark.parametrize("required", ["0.12.4", "0.12", "0.12.4.0", "0.3", "", "any"])
    def test_fitting_required_open_webui_is_silent(self, required: str) -> None:
        content = f'"""\nrequired_open_webui_version: {required}\n"""\nclass Filter: ...\n'
        assert version_warnings(plugin(content), None, "0.12.4") == []

    def test_lower_version_is_a_warning_at_its_line(self) -> None:
        assert version_warnings(plugin(), remote("1.10"), "0.12.4") == [
            Diagnostic(
                "its version 1.2 is lower than the live one, 1.10",
                line=3,
                source="version: 1.2",
                hint="deployed anyway: is this the file you meant?",
                severity=Severity.WARNING,
                rule="header-version",
            )
        ]

    @pytest.mark.parametrize("live", ["1.2", "1.2.0", "1.1.9", "next", None])
    def test_version_not_lower_is_silent(self, live: str | None) -> None:
        assert version_warnings(plugin(), remote(live), "0.12.4") == []
        assert version_warnings(plugin("class Filter: ...\n"), remote(live), "0.12.4") == []

    def test_new_plugin_is_compared_with_nothing(self) -> None:
        assert version_warnings(plugin(), None, "0.12.4") == []

    def test_last_of_two_version_lines_is_shown(self) -> None:
        content = '"""\nversion: 9\nversion: 1\n"""\nclass Filter: ...\n'
        assert [diagnostic.line for diagnostic in version_warnings(plugin(content), remote("2"), "0.12.4")] == [3]

    def test_endless_version_is_ignored(self) -> None:
        content = f'"""\nversion: {"9" * 9000}\nrequired_open_webui_version: {"9" * 9000}\n"""\nclass Filter: ...\n'
        assert len(version_warnings(plugin(content), remote("1"), "0.12.4")) == 1

"""The README and the reference pages are true: links, commands, settings, files that they quote."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from owui_watch.cli.arguments import parse
from owui_watch.settings import OPTIONS, Settings
from tests.documents import DOCS, README, ROOT, block, code, documents

EVERY_DOCUMENT = pytest.mark.parametrize("path", documents(), ids=lambda path: path.name)
CONTRIBUTORS = [ROOT / ".github" / "CONTRIBUTING.md", ROOT / ".github" / "SECURITY.md"]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PLACEHOLDERS = {
    "COMMAND": "check",
    "KIND": "pipe",
    "PATH": "plugins/x",
    "TOPIC": "settings",
    "DIR": "data",
    "PLUGIN": "clock",
    "…": "",
}


def shown_commands(text: str) -> Iterator[list[str]]:
    """Yield the arguments of each ``owui-watch …`` command in a text."""
    inline = re.findall(r"`(owui-watch [^`\n]*)`", FENCE.sub("", text))
    fenced = [line for _, body in FENCE.findall(text) for line in re.findall(r"^(?:\$ )?(owui-watch .*)$", body, re.M)]
    for command in [*inline, *fenced]:
        words = shlex.split(re.split(r"\s[|>]|\s#|\s2>", command)[0])[1:]
        replaced = [PLACEHOLDERS.get(word, word) for word in words]
        yield [word for word in replaced if word]


class TestReadme:
    def test_has_at_most_a_thousand_words(self) -> None:
        assert len(README.read_text("utf-8").split()) <= 1000

    def test_names_every_reference_page(self) -> None:
        text = README.read_text("utf-8") + "".join(path.read_text("utf-8") for path in DOCS.glob("*.md"))
        assert [page.name for page in DOCS.glob("*.md") if f"{page.name})" not in text] == []

    def test_ci_runs_its_test_command(self) -> None:
        assert f"{code('tests')}\n" in (ROOT / ".ci" / "run").read_text("utf-8")


class TestEveryDocument:
    @pytest.mark.parametrize("path", [*documents(), *CONTRIBUTORS], ids=lambda path: path.name)
    def test_links_lead_to_files(self, path: Path) -> None:
        links = re.findall(r"\]\(([^)#\s]+)", path.read_text("utf-8"))
        local = [link for link in links if not link.startswith(("https://", "http://"))]
        assert [link for link in local if not (path.parent / link).exists()] == []

    @EVERY_DOCUMENT
    def test_blocks_are_closed(self, path: Path) -> None:
        text = path.read_text("utf-8")
        assert re.findall(r"<!-- ([\w-]+) -->", text) == re.findall(r"<!-- /([\w-]+) -->", text)
        assert text.count("```") % 2 == 0

    @EVERY_DOCUMENT
    def test_commands_parse(self, path: Path) -> None:
        for arguments in shown_commands(path.read_text("utf-8")):
            if not {"--help", "-h", "--version"}.intersection(arguments):
                parse(arguments)

    @EVERY_DOCUMENT
    def test_code_blocks_are_valid(self, path: Path) -> None:
        for language, body in FENCE.findall(path.read_text("utf-8")):
            match language:
                case "toml":
                    tomllib.loads(body)
                case "json":
                    json.loads(body)
                case "python":
                    compile(body, str(path), "exec")


class TestSettingsPage:
    def test_table_lists_every_setting(self) -> None:
        assert block("settings") == settings_table()

    def test_example_has_every_setting(self) -> None:
        example = (ROOT / "config.example.toml").read_text("utf-8")
        assert [name for name in OPTIONS if not re.search(rf"^#? ?\[?{name}\b", example, re.M)] == []


def settings_table() -> str:
    """Return the table of all settings, as ``owui_watch/docs/settings.md`` holds it."""
    defaults = Settings.__dataclass_fields__
    rows = ["| setting | flag | environment | default | meaning |", "| --- | --- | --- | --- | --- |"]
    for option in OPTIONS.values():
        default = defaults[option.name].default
        shown = "" if not isinstance(default, str | int | float) else json.dumps(default)
        flag = f"`--{option.name.replace('_', '-')}`" if option.variables else ""
        variables = ", ".join(f"`{name}`" for name in option.variables)
        rows.append(f"| `{option.name}` | {flag} | {variables} | {shown} | {option.doc} |")
    return "".join(f"{row}\n" for row in rows)


class TestServicePage:
    @pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
    def test_unit_is_accepted_by_systemd(self, tmp_path: Path) -> None:
        home = tmp_path / "home"
        (home / "plugins").mkdir(parents=True)
        program = home / ".local" / "bin" / "owui-watch"
        program.parent.mkdir(parents=True)
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        unit = tmp_path / "owui-watch.service"
        unit.write_text(code("unit").replace("%h", str(home)) + "\n")
        done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
        assert (done.returncode, [line for line in done.stderr.splitlines() if "owui-watch" in line]) == (0, [])

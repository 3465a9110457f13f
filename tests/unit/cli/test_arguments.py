"""Command lines: flags, commands and help; wrong ones are answered without showing a key."""

from __future__ import annotations

from pathlib import Path

import pytest

from owui_watch import __version__
from owui_watch.cli.arguments import COMMANDS, parse
from owui_watch.cli.command_flags import Command
from tests.unit.cli.runs import CANARY, JWT, Run, refused

BELONGS = (
    "an API key belongs in OPENWEBUI_API_KEY, in the environment or in .env, and nowhere else: "
    "others can see a command line"
)


class TestWords:
    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            (["--debonce", "1"], "flag --debonce: there is no such flag: did you mean --debounce?"),
            (["deploy", "--on_foreign=refuse"], "flag --on_foreign: there is no such flag: did you mean --on-foreign?"),
            (["deploy", f"--uri={CANARY}"], "flag --uri: there is no such flag: did you mean --url?"),
            (["new", f"--{CANARY}"], "flag --***: there is no such flag; there are -h, --help, --package"),
            (["new", f"-k{CANARY}"], "flag -k: there is no such flag; there are -h, --help, --package"),
            (["pull", "-k", CANARY], None),
            (["new", "pipe", CANARY], "PATH ***: that looks like an API key; put it into OPENWEBUI_API_KEY"),
            (["new", CANARY, "p.py"], None),
            (["new", "pipe", "p.py", CANARY], None),
            (["check", "--format", CANARY], None),
            (["--quiet=" + CANARY], None),
            ([CANARY], "PATH ***: that looks like an API key; put it into OPENWEBUI_API_KEY"),
            (["check", JWT], "PATH ***: that looks like an API key; put it into OPENWEBUI_API_KEY"),
            (["check", "--config", CANARY], None),
            (["deploypo", "plugins"], "deploypo: there is no such command, file or folder: did you mean deploy?"),
            (["Chek"], "Chek: there is no such command, file or folder: did you mean check?"),
            (["elsewhere"], "{here}/elsewhere: there is no such file or folder"),
        ],
    )
    def test_unknown_ones_are_named_without_keys(
        self, run: Run, arguments: list[str], told: str | None, tmp_path: Path
    ) -> None:
        err = refused(run, *arguments)
        if told is not None:
            assert err == f"owui-watch: {told.format(here=tmp_path)}\n"

    @pytest.mark.parametrize("blank", ["", " "])
    @pytest.mark.parametrize(
        ("arguments", "name"),
        [
            (["deploy", "{}"], "PATH"),
            (["plugins", "{}"], "PATH"),
            (["plugins", "--config={}"], "flag --config"),
            (["deploy", "--env-file", "{}"], "flag --env-file"),
            (["deploy", "--only", "x", "{}"], "flag --only"),
            (["plugins", "--sandbox", "--sandbox-data={}"], "flag --sandbox-data"),
            (["plugins", "--server-log", "{}"], "flag --server-log"),
            (["plugins", "--on-deploy", "{}"], "flag --on-deploy"),
            (["pull", "{}"], "ID"),
            (["pull", "--to={}"], "flag --to"),
            (["bundle", "plugins", "-o", "{}"], "flag --output"),
            (["new", "pipe", "{}"], "PATH"),
        ],
    )
    def test_blank_ones_are_refused(self, run: Run, arguments: list[str], name: str, blank: str) -> None:
        given = [each.format(blank) for each in arguments]
        assert refused(run, *given) == f"owui-watch: {name}: needs a value\n"

    def test_a_path_may_be_named_like_a_command(self, run: Run) -> None:
        Path("chek").mkdir()
        assert "no API key for" in refused(run, "chek")


class TestFlags:
    @pytest.mark.parametrize(
        "arguments",
        [
            ["check", "-q", "--ignore=*.txt", "--ignore", "*.md"],
            ["check", "--", "plugins"],
            ["check", "plugins", "--json"],
        ],
    )
    def test_known_ones_are_accepted(self, run: Run, arguments: list[str]) -> None:
        assert run(*arguments)[0] == 0

    def test_a_value_may_begin_with_a_dash(self, run: Run) -> None:
        assert "must be a whole number of 0 or more, not -1" in refused(run, "--max-new", "-1")
        assert "no API key for" in refused(run, "--on-deploy", "-x --y z")

    @pytest.mark.parametrize("given", [[], ["--enable-new"], ["--no-enable-new"], ["--enable-new", "--no-enable-new"]])
    def test_a_switch_is_set_by_its_last_flag(self, given: list[str]) -> None:
        expected = None if not given else given[-1] == "--enable-new"
        assert parse(["deploy", *given]).enable_new is expected

    @pytest.mark.parametrize("key", [CANARY, JWT, "canary"])
    @pytest.mark.parametrize(
        "flag", ["--apikey", "--api-key", "--API_KEY", "--key", "--token", "--secret", "--my-password"]
    )
    @pytest.mark.parametrize(
        "before",
        [["plugins"], ["check"], ["new", "pipe", "p.py"], ["new"], ["pull"], ["status", "plugins"], ["--sandbox"]],
    )
    def test_one_for_a_key_says_where_keys_belong(self, run: Run, before: list[str], flag: str, key: str) -> None:
        told = f"owui-watch: flag {flag}: {BELONGS}\n"
        assert refused(run, *before, flag, key) == refused(run, *before, f"{flag}={key}") == told


class TestTexts:
    def test_version_is_printed_alone(self, run: Run) -> None:
        assert run("--version") == (0, f"owui-watch {__version__}\n", "")

    def test_overview_lists_every_command(self, run: Run) -> None:
        code, out, err = run("--help")
        assert (code, err) == (0, "")
        for name, command in COMMANDS.items():
            assert f"\n  {name} " in out.replace("    ", "  ")
            assert command.summary in " ".join(out.split())

    @pytest.mark.parametrize("arguments", [["check", "--format", "xml"], ["new", "nonsense", "x.py"], ["new", "pipe"]])
    def test_a_wrong_value_names_the_help(self, run: Run, arguments: list[str]) -> None:
        assert refused(run, *arguments).endswith(f"See `owui-watch {arguments[0]} --help`.\n")

    @pytest.mark.parametrize("command", COMMANDS.values(), ids=list(COMMANDS))
    def test_summaries_are_one_plain_line(self, command: Command) -> None:
        assert len(command.summary) <= 60
        assert command.summary[0].islower()
        assert not command.summary.endswith(".")

    @pytest.mark.parametrize("command", COMMANDS)
    def test_help_fits_a_screen(self, run: Run, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COLUMNS", "80")
        code, out, _ = run(command, "--help")
        lines = out.splitlines()
        assert code == 0
        assert len(lines) <= 36
        assert max(map(len, lines)) <= 80
        assert "\nexamples:\n  owui-watch " in out

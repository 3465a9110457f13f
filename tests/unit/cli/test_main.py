"""The whole way from a command line to its lines and exit code, for what needs no server."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NoReturn

import pytest

from owui_watch.cli.arguments import COMMANDS, parse
from owui_watch.cli.main import main
from owui_watch.sandbox import SandboxError
from owui_watch.settings import load
from owui_watch.state import Owned, own

FILTER = "class Filter:\n    def inlet(self, body): return body\n"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in a folder with plugins; gives the exit code, stdout and stderr."""
    (tmp_path / "plugins" / "filters" / "my-rag").mkdir(parents=True)
    (tmp_path / "plugins" / "filters" / "my-rag" / "main.py").write_text(FILTER)
    (tmp_path / "plugins" / "filters" / "foo.py").write_text(FILTER)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENWEBUI_API_KEY", raising=False)
    monkeypatch.delenv("OPENWEBUI_URL", raising=False)

    def run(*arguments: str) -> tuple[int, str, str]:
        try:
            code = main(arguments)
        except SystemExit as end:
            code = int(end.code or 0)
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


def checked(run: Run, *paths: str) -> Sequence[tuple[str, str]]:
    code, out, _ = run("check", "--json", *paths)
    assert code == 0
    return [(finding["path"], finding["plugin"]) for finding in json.loads(out)]


@pytest.mark.parametrize("key", ["plugins/filters/foo.py", "filters/foo.py", "foo.py"])
def test_check_gives_a_file_the_same_id_by_every_path(run: Run, key: str) -> None:
    Path("owui-watch.toml").write_text(f'[ids]\n"{key}" = "my_id"\n')
    foo, rag = ("plugins/filters/foo.py", "my_id"), ("plugins/filters/my-rag/main.py", "my_rag")
    assert checked(run) == checked(run, ".") == checked(run, "plugins/filters") == [foo, rag]
    assert checked(run, foo[0]) == [foo]
    assert checked(run, rag[0]) == checked(run, "plugins/filters/my-rag") == [rag]
    assert checked(run, rag[0], foo[0]) == [foo, rag]


def test_check_names_the_ids_that_no_file_fits(run: Run) -> None:
    Path("other").mkdir()
    Path("other/far.py").touch()
    Path("owui-watch.toml").write_text(
        '[ids]\n"filters/fooo.py" = "a"\n"gone.py" = "b"\n"foo.py" = "c"\n"other/far.py" = "d"\n'
    )
    told = (
        "owui-watch.toml: warning: [ids]: there is no file filters/fooo.py\n"
        "  hint: did you mean plugins/filters/foo.py?\n"
        "owui-watch.toml: warning: [ids]: there is no file gone.py\n"
        "  hint: take the line out if the file is done with\n"
        "plugins/filters/foo.py: filter c\n"
        "plugins/filters/my-rag/main.py: filter my_rag\n"
        "2 plugins, 0 errors, 2 warnings\n"
    )
    assert run("check") == run("check", "plugins") == (0, told, "")
    for part in ("plugins/filters", "plugins/filters/foo.py"):
        assert "0 warnings" in run("check", part)[1]


def test_check_needs_no_key_and_does_not_mind_a_bad_one(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("OPENWEBUI_API_KEY=two words\nOPENWEBUI_URL=nonsense\n")
    assert len(checked(run)) == 2
    monkeypatch.setenv("OPENWEBUI_API_KEY", "two words")
    assert len(checked(run)) == 2


# Flags and commands that there are not

CANARY = "sk-canary0123456789abcdef"
JWT = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpZCI6ImNhbmFyeSJ9.c2lnbmF0dXJl"
BELONGS = (
    "an API key belongs into OPENWEBUI_API_KEY, in the environment or in .env, and nowhere else: "
    "a command line can be seen by others"
)


def refused(run: Run, *arguments: str) -> str:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert "canary" not in err
    assert JWT[:20] not in err
    return err


@pytest.mark.parametrize("key", [CANARY, JWT, "canary"])
@pytest.mark.parametrize(
    "flag", ["--apikey", "--api-key", "--API_KEY", "--key", "--token", "--secret", "--my-password"]
)
@pytest.mark.parametrize(
    "before", [["plugins"], ["check"], ["new", "pipe", "p.py"], ["new"], ["pull"], ["status", "plugins"], ["--sandbox"]]
)
def test_a_flag_that_would_hold_a_key_is_told_where_keys_belong(
    run: Run, before: list[str], flag: str, key: str
) -> None:
    told = f"owui-watch: flag {flag}: {BELONGS}\n"
    assert refused(run, *before, flag, key) == refused(run, *before, f"{flag}={key}") == told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--debonce", "1"], "flag --debonce: there is no such flag: did you mean --debounce?"),
        (["deploy", "--on_foreign=refuse"], "flag --on_foreign: there is no such flag: did you mean --on-foreign?"),
        (["deploy", f"--uri={CANARY}"], "flag --uri: there is no such flag: did you mean --url?"),
        (["new", f"--{CANARY}"], "flag --***: there is no such flag; there are -h, --help"),
        (["new", f"-k{CANARY}"], "flag -k: there is no such flag; there are -h, --help"),
        (["pull", "-k", CANARY], None),
        (["new", "pipe", CANARY], "PATH ***: that looks like an API key, which belongs into OPENWEBUI_API_KEY"),
        (["new", CANARY, "p.py"], None),
        (["new", "pipe", "p.py", CANARY], None),
        (["check", "--format", CANARY], None),
        (["--quiet=" + CANARY], None),
        ([CANARY], "PATH ***: that looks like an API key, which belongs into OPENWEBUI_API_KEY"),
        (["check", JWT], "PATH ***: that looks like an API key, which belongs into OPENWEBUI_API_KEY"),
        (["check", "--config", CANARY], None),
        (["deploypo", "plugins"], "deploypo: there is no such command, file or folder: did you mean deploy?"),
        (["Chek"], "Chek: there is no such command, file or folder: did you mean check?"),
        (["elsewhere"], "{here}/elsewhere: there is no such file or folder"),
    ],
)
def test_what_is_not_there_is_named_without_what_may_be_a_key(
    run: Run, arguments: list[str], told: str | None, tmp_path: Path
) -> None:
    err = refused(run, *arguments)
    if told is not None:
        assert err == f"owui-watch: {told.format(here=tmp_path)}\n"


def test_a_path_named_like_a_command_is_a_path(run: Run) -> None:
    Path("chek").mkdir()
    assert "no API key for" in refused(run, "chek")


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "-q", "--ignore=*.txt", "--ignore", "*.md"],
        ["check", "--", "plugins"],
        ["check", "plugins", "--json"],
    ],
)
def test_flags_that_there_are(run: Run, arguments: list[str]) -> None:
    assert run(*arguments)[0] == 0


def test_a_value_that_begins_with_a_dash_is_no_flag(run: Run) -> None:
    assert "must be a whole number of 0 or more, not -1" in refused(run, "--max-new", "-1")
    assert "no API key for" in refused(run, "--on-deploy", "-x --y z")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_a_screen(run: Run, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = run(command, "--help")
    lines = out.splitlines()
    assert code == 0
    assert len(lines) <= 36
    assert max(map(len, lines)) <= 80
    assert "\nexamples:\n  owui-watch " in out


@pytest.mark.parametrize("given", [[], ["--enable-new"], ["--no-enable-new"], ["--enable-new", "--no-enable-new"]])
def test_a_switch_is_set_by_its_last_flag(given: list[str]) -> None:
    expected = None if not given else given[-1] == "--enable-new"
    assert parse(["deploy", *given]).enable_new is expected


def owned(folder: Path) -> AbstractContextManager[Owned]:
    return own(load([folder], {}, environ=os.environ, cwd=Path.cwd()), "http://127.0.0.1:1")


class TestOneOwner:
    @pytest.fixture
    def run(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
        monkeypatch.setenv("OPENWEBUI_API_KEY", CANARY)
        return run

    @pytest.mark.parametrize("path", ["plugins", "plugins/filters", "plugins/filters/foo.py"])
    def test_second_run_on_a_part_is_refused(self, run: Run, path: str, tmp_path: Path) -> None:
        with owned(tmp_path / "plugins"):
            Path("owui-watch.toml").touch()  # one that appears later changes nothing
            message = refused(run, "deploy", path, "--on-deploy", "x", "--url", "http://localhost:1")
        assert f" already keeps http://localhost:1 in step with {tmp_path / 'plugins'}: stop it first\n" in message

    @pytest.mark.parametrize(("held", "path"), [("plugins/filters", "."), ("plugins", "."), (".", ".")])
    def test_second_run_on_a_wider_tree_is_refused(
        self, run: Run, held: str, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with owned(tmp_path / held):
            monkeypatch.chdir(tmp_path / "plugins")
            message = refused(run, "deploy", path, "--on-deploy", "x", "--url", "http://localhost:1")
        assert f" already keeps http://localhost:1 in step with {tmp_path / held}: stop it first\n" in message


# A sandbox


@pytest.mark.parametrize("command", [[], ["deploy"]])
def test_a_sandbox_does_not_mind_where_the_settings_lead_to(
    run: Run, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_sandbox(*_: object, **__: object) -> NoReturn:
        raise SandboxError("not started in this test")

    monkeypatch.setattr("owui_watch.sandbox.sandbox", no_sandbox)
    monkeypatch.setenv("OPENWEBUI_API_KEY", CANARY)
    monkeypatch.setenv("OPENWEBUI_BASE_URL", "nonsense")
    Path("owui-watch.toml").write_text('url = "https://ai.example.com"\n')
    Path(".env").write_text(f"OPENWEBUI_API_KEY={CANARY} {CANARY}\nOPENWEBUI_URL=nonsense\n")
    assert refused(run, *command, "--sandbox") == "owui-watch: not started in this test\n"
    Path("owui-watch.toml").write_text("max_new = -1\n")
    assert "max_new: must be a whole number of 0 or more, not -1" in refused(run, *command, "--sandbox")


# A first plugin


def test_new_leaves_nothing_behind_where_it_refuses(run: Run) -> None:
    assert "passes over the folder tests" in refused(run, "new", "pipe", "tests/")
    assert not Path("tests").exists()
    assert run("new", "pipe", "deep/down/") == (0, f"wrote {Path('deep/down/my_pipe.py')}\n", "")

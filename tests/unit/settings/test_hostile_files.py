"""Settings files of a cloned repository: they can't hang us, fill the memory, steer the terminal or take a key."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import certifi
import pytest

from owui_watch.settings import Secret, Settings, SettingsError, load, reread_key

CANARY = "sk-canary0123456789abcdef"
ENVIRONMENT = {"OPENWEBUI_URL": "https://mine.example.com", "OPENWEBUI_API_KEY": CANARY}


class Clone:
    """A cloned repository with a folder of plugins."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "plugins").mkdir(parents=True)
        self.toml, self.env = folder / "owui-watch.toml", folder / ".env"

    def load(self, environ: dict[str, str] | None = None, **more: object) -> Settings:
        return load([], {}, environ=environ or {}, cwd=self.folder, **more)  # type: ignore[arg-type]

    def error(self, environ: dict[str, str] | None = None, **more: object) -> str:
        with pytest.raises(SettingsError) as caught:
            self.load(environ, **more)
        text = str(caught.value)
        assert "canary" not in text
        assert all(line.isprintable() for line in text.split("\n"))
        return text


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path.resolve() / "clone")


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def null_device(path: Path) -> None:
    path.symlink_to("/dev/null")


def pipe(path: Path) -> None:
    os.mkfifo(path)


def linked_pipe(path: Path) -> None:
    os.mkfifo(path.with_name("pipe"))
    path.symlink_to(path.with_name("pipe"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes and devices in folders there")
@pytest.mark.parametrize("file", ["toml", "env"])
@pytest.mark.parametrize("make", [device, null_device, pipe, linked_pipe])
class TestNoRegularFile:
    def test_is_refused_unread(self, clone: Clone, make: Callable[[Path], None], file: str) -> None:
        path: Path = getattr(clone, file)
        make(path)
        assert clone.error() == f"{path}: can't be read: it is not a regular file"

    def test_named_one_is_refused_too(self, clone: Clone, make: Callable[[Path], None], file: str) -> None:
        make(clone.folder / "named")
        named = Path("named")
        error = clone.error(config=named) if file == "toml" else clone.error(env_file=named)
        assert error.endswith("named: can't be read: it is not a regular file")

    def test_appearing_while_it_runs_is_refused(self, clone: Clone, make: Callable[[Path], None], file: str) -> None:
        if file == "toml":
            pytest.skip("a running watch does not read it again")
        settings = clone.load()
        make(clone.env)
        with pytest.raises(SettingsError, match="it is not a regular file"):
            reread_key(settings, {})


class TestSize:
    @pytest.mark.parametrize("size", [2**20, 2**40])
    def test_large_file_is_refused_unread(self, clone: Clone, size: int) -> None:
        for path in (clone.env, clone.toml):
            with path.open("wb") as file:
                file.truncate(size)
        assert clone.error() == f"{clone.env}: can't be read: it is larger than 64 KiB"
        clone.env.unlink()
        assert clone.error() == f"{clone.toml}: can't be read: it is larger than 128 KiB"

    @pytest.mark.parametrize(
        "text",
        [
            pytest.param("a" + ".a" * 60_000 + " = 1", id="dotted key"),
            pytest.param("[a" + ".a" * 60_000 + "]", id="dotted table"),
            pytest.param("x = " + "[" * 120_000, id="arrays"),
            pytest.param("x = " + "{a = " * 20_000, id="inline tables"),
            pytest.param("ignore = " + "[" * 300 + "]" * 300, id="nested list as a value"),
            pytest.param("ignore" + ".a" * 400 + " = 1", id="nested table as a value"),
            pytest.param("x = " + "9" * 100_000, id="digits"),
            pytest.param('x = "' + "\\n" * 60_000, id="unfinished string"),
            pytest.param("".join(f"[a.b{n}]\nc.d = 1\n" for n in range(6_000)), id="many tables"),
            pytest.param("\n".join("a" + ".a" * 499 + f".x{n} = 1" for n in range(100)), id="many dotted keys"),
        ],
    )
    def test_toml_that_is_slow_to_read(self, clone: Clone, text: str) -> None:
        clone.toml.write_text(text[: 128 * 1024])
        began = time.process_time()
        assert clone.error().startswith(f"{clone.toml}")
        assert time.process_time() - began < 4

    @pytest.mark.parametrize(
        "text", ['a="x\n' * 13_000, 'a="' + "x\n" * 32_000, "a='" + "\\'" * 32_000, "=" * 64_000, "export " * 9_000]
    )
    def test_env_file_that_is_slow_to_read(self, clone: Clone, text: str) -> None:
        clone.env.write_text(text)
        began = time.process_time()
        assert clone.load().key is None
        assert time.process_time() - began < 4

    def test_endless_number_is_named(self, clone: Clone) -> None:
        clone.toml.write_text(f"max_new = {'9' * 5000}")
        assert clone.error() == f"{clone.toml}: isn't TOML that owui-watch reads: a number has too many digits"

    def test_endless_name_is_cut(self, clone: Clone) -> None:
        clone.toml.write_text(f"{'x' * 20_000} = 1")
        assert clone.error().startswith(f"{clone.toml}: {'x' * 999}…: there is no such setting; there are ")

    def test_nesting_is_named(self, clone: Clone) -> None:
        clone.toml.write_text("x = " + "[" * 100_000)
        assert clone.error() == f"{clone.toml}: isn't TOML that owui-watch reads: it is nested too deeply"


class TestEscapes:
    """Names and values never reach the terminal raw, nor more lines than ours."""

    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ('"a\\u001b[31mb" = 1', r"a\x1b[31mb: there is no such setting"),
            ('"a\\nowui-watch: all is well" = 1', r"a\nowui-watch: all is well: there is no such setting"),
            ('"a\\u009b31mb" = 1', r"a\x9b31mb: there is no such setting"),
            ('"a\\u202eb" = 1', r"a\u202eb: there is no such setting"),
            ('"\\u001b_key" = 1', r"\x1b_key: an API key belongs in"),
            ('log_format = "\\u001b[31m"', r"log_format: must be console or json, not '\x1b[31m'"),
            ('ids = {"\\u001b.txt" = "x"}', r"ids: '\x1b.txt' must be the path of a .py file"),
            (
                'url = "http://\\u001b]0;x"',
                "url: holds a blank, a backslash or a control character: 'http://\\x1b]0;x'",
            ),
            ('libraries = ["\\u001b"]', r"libraries: there is no such folder: '\x1b'"),
            ('ca_file = "\\u001b[31m.pem"', r"\x1b[31m.pem"),
        ],
    )
    def test_in_toml(self, clone: Clone, text: str, shown: str) -> None:
        clone.toml.write_text(text)
        error = clone.error()
        assert error.startswith(f"{clone.toml}: ")
        assert shown in error
        assert "\n" not in error

    @pytest.mark.parametrize("name", ["OWUI_WATCH_\x1b[31m", "OWUI_WATCH_\x9b1m", "OWUI_WATCH_X\x07"])
    def test_in_a_variables_name(self, clone: Clone, name: str) -> None:
        clone.env.write_text(f"{name}=1\n")
        printed = name.replace("\x1b", "\\x1b").replace("\x9b", "\\x9b").replace("\x07", "\\x07")
        assert clone.error().startswith(f"{clone.env}: {printed}: there is no such setting")

    @pytest.mark.skipif(os.name == "nt", reason="such names can't be there")
    def test_in_a_folders_name(self, tmp_path: Path) -> None:
        clone = Clone(tmp_path / "a\x1b[31m\nb")
        clone.toml.write_text("colour = 1")
        error = clone.error()
        assert r"a\x1b[31m" in error
        clone.toml.write_text("debounce = 0")
        assert r"a\x1b[31m\nb" in clone.error()

    def test_a_name_that_is_a_key_is_hidden(self, clone: Clone) -> None:
        for name in (CANARY, "0123456789abcdef0123456789canary"):
            clone.toml.write_text(f'"{name}" = 1')
            assert "***: there is no such setting" in clone.error()


class TestUrlAndKey:
    @pytest.mark.parametrize("host", ["chat.localhost", "localhost.", "x.localhost.", "localhost.evil.com"])
    @pytest.mark.parametrize("file", ["toml", "env"])
    def test_name_below_localhost_gets_no_key(self, clone: Clone, host: str, file: str) -> None:
        text = {"toml": f'url = "http://{host}:3000"', "env": f"OPENWEBUI_URL=http://{host}:3000"}[file]
        getattr(clone, file).write_text(text)
        assert "but the API key comes from somewhere else" in clone.error({"OPENWEBUI_API_KEY": CANARY})

    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "[::1]"])
    def test_loopback_gets_the_environments_key(self, clone: Clone, host: str) -> None:
        """What remains, and is written in the documentation."""
        clone.env.write_text(f"url=http://{host}:3000")
        assert clone.load({"OPENWEBUI_API_KEY": CANARY}).key == Secret(CANARY)


class TestAuthority:
    @pytest.fixture(autouse=True)
    def _pem(self, clone: Clone) -> None:
        pem = Path(certifi.where()).read_text("utf-8")
        end = "-----END CERTIFICATE-----\n"
        (clone.folder / "ca.pem").write_text(pem[pem.index("-----BEGIN") : pem.index(end)] + end)

    @pytest.mark.parametrize("file", ["toml", "env"])
    def test_of_a_clone_is_untrusted_for_environment_servers(self, clone: Clone, file: str) -> None:
        text = {"toml": 'ca_file = "ca.pem"', "env": "OWUI_WATCH_CA_FILE=ca.pem"}[file]
        name = {"toml": "ca_file", "env": "OWUI_WATCH_CA_FILE"}[file]
        getattr(clone, file).write_text(text)
        assert clone.error(ENVIRONMENT) == (
            f"{getattr(clone, file)}: {name}: is trusted only for a server that a file in the same folder names, "
            "but https://mine.example.com comes from elsewhere (environment OPENWEBUI_URL).\n"
            "If you trust this authority, name it with --ca-file or OWUI_WATCH_CA_FILE in the environment."
        )

    def test_is_not_trusted_for_a_flags_server(self, clone: Clone) -> None:
        clone.toml.write_text('ca_file = "ca.pem"')
        with pytest.raises(SettingsError, match="comes from elsewhere"):
            load([], {"url": "https://mine.example.com"}, environ={}, cwd=clone.folder)

    def test_of_the_same_folder_is_trusted(self, clone: Clone) -> None:
        clone.toml.write_text('ca_file = "ca.pem"')
        clone.env.write_text("url=https://theirs.example.com\napi_key=theirs\n")
        assert clone.load().ca_file == clone.folder / "ca.pem"

    def test_of_another_folder_is_not(self, clone: Clone) -> None:
        (clone.folder / "plugins/.env").write_text("url=https://theirs.example.com\napi_key=theirs\n")
        clone.toml.write_text('ca_file = "ca.pem"')
        assert "comes from elsewhere" in clone.error()

    def test_named_by_the_user_is_trusted(self, clone: Clone) -> None:
        environ = ENVIRONMENT | {"OWUI_WATCH_CA_FILE": "ca.pem"}
        assert clone.load(environ).ca_file == clone.folder / "ca.pem"

    def test_does_not_matter_without_tls(self, clone: Clone) -> None:
        clone.toml.write_text('ca_file = "ca.pem"')
        assert clone.load().url == "http://localhost:3000"

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes and devices in folders there")
    def test_that_is_no_regular_file_is_refused(self, clone: Clone) -> None:
        (clone.folder / "zero").symlink_to("/dev/zero")
        os.mkfifo(clone.folder / "pipe")
        for name in ("zero", "pipe", "plugins"):
            clone.toml.write_text(f'ca_file = "{name}"')
            place = clone.folder / name
            assert clone.error() == f"{clone.toml}: ca_file: can't be read: {place} (it is not a regular file)"

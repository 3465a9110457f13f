from __future__ import annotations

import dataclasses
import os
import re
import ssl
import tomllib
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import certifi
import platformdirs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from owui_watch.settings import (
    OPTIONS,
    Layer,
    LogFormat,
    Secret,
    Settings,
    SettingsError,
    Source,
    load,
    reread_key,
)

CANARY = "sk-canary0123456789abcdef"
EXAMPLE = Path(__file__).parents[3] / "config.example.toml"
TOML = "owui-watch.toml"


class Place:
    """A project folder with a folder of plugins in it, and a way to load settings there."""

    def __init__(self, project: Path) -> None:
        self.project = project
        self.plugins = project / "plugins"
        self.plugins.mkdir(parents=True)
        self.toml = project / TOML
        self.env = project / ".env"

    def load(
        self,
        *paths: Path | str,
        flags: Mapping[str, object] | None = None,
        environ: Mapping[str, str] | None = None,
        **more: Any,
    ) -> Settings:
        more = {"cwd": self.project, "environ": environ or {}, **more}
        return load([Path(path) for path in paths], flags or {}, **more)

    def error(self, *paths: Path | str, **more: Any) -> str:
        with pytest.raises(SettingsError) as caught:
            self.load(*paths, **more)
        assert "canary" not in "".join(traceback.format_exception(caught.value)).replace(__file__, "")
        assert caught.value.__cause__ is None
        return str(caught.value)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path.resolve() / "project")


def as_written(_place: Place, target: Path) -> Path:
    return target


def through_a_link(place: Place, target: Path) -> Path:
    link = place.project / "link"
    link.symlink_to(target)
    return link


def authority(path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    pem = Path(certifi.where()).read_text()
    path.write_text(
        pem[pem.index("-----BEGIN") : pem.index("-----END CERTIFICATE-----")] + "-----END CERTIFICATE-----\n"
    )
    ssl.create_default_context(cafile=path)
    return path


class TestLayers:
    def test_defaults_hold_where_nothing_is_set(self, place: Place) -> None:
        settings = place.load()
        assert settings.roots == (place.plugins,)
        assert settings.url == "http://localhost:3000"
        assert settings.url_source == Source(Layer.DEFAULT, "url")
        assert (settings.key, settings.key_source, settings.env_file, settings.config_file) == (None, None, None, None)
        assert (settings.debounce, settings.ignore, settings.enable_new, settings.global_new) == (0.1, (), True, False)
        assert (settings.max_new, settings.ca_file, settings.log_format) == (5, None, LogFormat.CONSOLE)
        assert (dict(settings.ids), settings.sync, settings.verbosity) == ({}, False, 0)

    def test_settings_are_frozen_throughout(self, place: Place) -> None:
        place.toml.write_text('ignore = ["a"]\n[ids]\n"a.py" = "b"\n')
        settings = place.load()
        with pytest.raises(dataclasses.FrozenInstanceError):
            settings.debounce = 1  # type: ignore[misc]
        with pytest.raises(TypeError):
            settings.ids["a.py"] = "c"  # type: ignore[index]
        assert isinstance(settings.ignore, tuple)
        assert hash(settings) == hash(place.load())
        assert settings == place.load()

    @pytest.mark.parametrize(
        ("name", "written", "expected"),
        [
            ("debounce", (1, "2", "3", "4"), (1.0, 2.0, 3.0, 4.0)),
            ("max_new", (1, "2", "3", "4"), (1, 2, 3, 4)),
            ("ignore", (["a"], "b, c", "d", '["e", "f,g"]'), (("a",), ("b", "c"), ("d",), ("e", "f,g"))),
            ("enable_new", (True, "off", "on", "false"), (True, False, True, False)),
            ("global_new", (False, "1", "NO", "true"), (False, True, False, True)),
            ("log_format", ("console", "JSON", "console", '"json"'), ("console", "json", "console", "json")),
        ],
    )
    def test_each_layer_beats_the_next(
        self, place: Place, name: str, written: tuple[object, str, str, str], expected: tuple[object, ...]
    ) -> None:
        variable = f"OWUI_WATCH_{name.upper()}"
        flags, environ = {name: written[0]}, {variable: written[1]}
        place.toml.write_text(f"{name} = {written[3]}\n")
        assert getattr(place.load(), name) == expected[3]
        place.env.write_text(f"{variable}={written[2]}\n")
        assert getattr(place.load(), name) == expected[2]
        assert getattr(place.load(environ=environ), name) == expected[1]
        assert getattr(place.load(environ=environ, flags=flags), name) == expected[0]

    def test_each_layer_beats_the_next_for_the_url(self, place: Place) -> None:
        told = []
        environ: dict[str, str] = {}
        flags: dict[str, object] = {}

        def look() -> None:
            settings = place.load(environ=environ, flags=flags)
            told.append((settings.url, str(settings.url_source)))

        look()
        place.toml.write_text('url = "http://localhost:1"')
        look()
        place.env.write_text("url=http://localhost:2/")
        look()
        place.env.write_text("url=http://localhost:2\nOPENWEBUI_BASE_URL=http://localhost:3")
        look()
        place.env.write_text("OPENWEBUI_BASE_URL=http://localhost:3\nexport OPENWEBUI_URL='http://localhost:4'")
        look()
        environ["OPENWEBUI_BASE_URL"] = "http://localhost:5"
        look()
        environ["OPENWEBUI_URL"] = "http://localhost:6"
        look()
        flags["url"] = "http://localhost:7/prefix/"
        look()
        assert told == [
            ("http://localhost:3000", "default url"),
            ("http://localhost:1", f"{place.toml}: url"),
            ("http://localhost:2", f"{place.env}: url"),
            ("http://localhost:3", f"{place.env}: OPENWEBUI_BASE_URL"),
            ("http://localhost:4", f"{place.env}: OPENWEBUI_URL"),
            ("http://localhost:5", "environment OPENWEBUI_BASE_URL"),
            ("http://localhost:6", "environment OPENWEBUI_URL"),
            ("http://localhost:7/prefix", "flag --url"),
        ]

    def test_key_comes_from_environment_then_env_file(self, place: Place) -> None:
        assert place.load().key is None
        place.env.write_text("api_key=third\n")
        assert (place.load().key, str(place.load().key_source)) == (Secret("third"), f"{place.env}: api_key")
        place.env.write_text("api_key=third\nOPENWEBUI_API_KEY=second\n")
        assert (place.load().key, str(place.load().key_source)) == (Secret("second"), f"{place.env}: OPENWEBUI_API_KEY")
        settings = place.load(environ={"OPENWEBUI_API_KEY": "first"})
        assert (settings.key, str(settings.key_source)) == (Secret("first"), "environment OPENWEBUI_API_KEY")
        for silent in ("", " ", "your-api-key"):
            assert place.load(environ={"OPENWEBUI_API_KEY": silent}).key == Secret("second")

    def test_beaten_key_may_be_odd(self, place: Place) -> None:
        place.env.write_text(f"OPENWEBUI_API_KEY={CANARY} {CANARY}\n")
        assert place.load(environ={"OPENWEBUI_API_KEY": "good"}).key == Secret("good")
        place.toml.write_text('url = "https://ai.example.com"\n')
        assert place.load(environ={"OPENWEBUI_API_KEY": "good", "OPENWEBUI_URL": "http://localhost"}).key == Secret(
            "good"
        )
        assert place.error(environ={"OPENWEBUI_API_KEY": "good"}).startswith(f"{place.env}: OPENWEBUI_API_KEY: holds a")

    def test_empty_variable_counts_as_not_set(self, place: Place) -> None:
        place.env.write_text("OWUI_WATCH_MAX_NEW=\nurl=\nOPENWEBUI_URL\n")
        settings = place.load(environ={"OWUI_WATCH_DEBOUNCE": "", "OPENWEBUI_URL": " "})
        assert (settings.debounce, settings.max_new, settings.url_source.layer) == (0.1, 5, Layer.DEFAULT)

    def test_flags_that_are_no_settings(self, place: Place) -> None:
        settings = place.load(flags={"sync": True, "verbosity": 2})
        assert (settings.sync, settings.verbosity) == (True, 2)


class TestEnvFile:
    def test_names_of_other_programs_are_passed_over(self, place: Place) -> None:
        place.env.write_text("DATABASE_URL=x\nthis is no line of a .env\nkey=1\nX='a\nb'\napi_key=real\n")
        assert place.load(environ={"OWUI": "1", "PATH": "x", "api_key": "not this", "url": "not this"}).key == Secret(
            "real"
        )

    def test_variables_are_not_expanded(self, place: Place) -> None:
        place.env.write_text("A=1\napi_key=x${A}\n")
        assert place.load().key == Secret("x${A}")

    def test_byte_order_mark_and_crlf_are_read(self, place: Place) -> None:
        place.env.write_bytes(b"\xef\xbb\xbfapi_key=real\r\nurl=http://localhost:1\r\n")
        place.toml.write_bytes(b"\xef\xbb\xbfmax_new = 1\r\n")
        settings = place.load()
        assert (settings.key, settings.url, settings.max_new) == (Secret("real"), "http://localhost:1", 1)

    def test_is_searched_for_upwards(self, tmp_path: Path) -> None:
        place, other = Place(tmp_path.resolve() / "a/project"), Place(tmp_path.resolve() / "b/other")
        looks = []
        for folder in (other.project, place.project.parent, place.project, place.plugins):
            (folder / ".env").write_text(f"api_key={folder.name}")
            settings = place.load(place.plugins, cwd=other.project)
            looks.append(settings.env_file)
            assert settings.key == Secret(folder.name)
            assert settings.searched[-1] == settings.env_file
            assert settings.searched[0] == place.plugins / ".env"
        assert looks == [
            folder / ".env" for folder in (other.project, place.project.parent, place.project, place.plugins)
        ]

    def test_folder_of_that_name_is_passed_over(self, place: Place) -> None:
        (place.plugins / ".env").mkdir()
        (place.plugins / TOML).mkdir()
        place.env.write_text("api_key=real")
        place.toml.write_text("max_new = 1")
        assert (place.load().key, place.load().max_new) == (Secret("real"), 1)


class TestNamedFiles:
    def test_are_read_instead_of_found_ones(self, place: Place) -> None:
        place.env.write_text("api_key=wrong")
        place.toml.write_text("max_new = 1")
        (place.project / "my.env").write_text("api_key=right")
        (place.project / "conf").mkdir()
        (place.project / "conf/my.toml").write_text("max_new = 2")
        settings = place.load(env_file=Path("my.env"), config=Path("conf/my.toml"))
        assert (settings.key, settings.max_new) == (Secret("right"), 2)
        assert settings.env_file == place.project / "my.env"
        assert settings.searched == (settings.env_file,)
        assert (settings.config_file, settings.base) == (place.project / "conf/my.toml", place.project)

    @pytest.mark.parametrize("flag", ["config", "env_file"])
    def test_missing_file_is_an_error(self, place: Place, flag: str) -> None:
        written = f"flag --{flag.replace('_', '-')}"
        assert place.error(**{flag: Path("no")}) == f"{written}: there is no such file: {place.project / 'no'}"
        assert place.error(**{flag: place.plugins}) == f"{written}: there is no such file: {place.plugins}"


class TestStateDir:
    def test_default_is_the_users_state_folder(self, place: Place) -> None:
        expected = platformdirs.user_state_path("owui-watch", appauthor=False)
        assert place.load().require_state_dir() == expected
        assert expected.is_absolute()

    def test_flag_beats_the_environment(self, place: Place) -> None:
        environ = {"OWUI_WATCH_STATE_DIR": "one"}
        assert place.load(environ=environ).require_state_dir() == place.project / "one"
        settings = place.load(environ=environ, flags={"state_dir": "two"})
        assert settings.require_state_dir() == place.project / "two"

    @pytest.mark.parametrize("file", ["toml", "env"])
    def test_file_cannot_name_it(self, place: Place, file: str) -> None:
        line = {"toml": 'state_dir = "/x"', "env": "OWUI_WATCH_STATE_DIR=/x"}[file]
        path = {"toml": place.toml, "env": place.env}[file]
        path.write_text(line + "\n")
        name = line.partition("=")[0].strip()
        assert place.error() == (
            f"{path}: {name}: a file can't set this: use --state-dir or OWUI_WATCH_STATE_DIR in the environment"
        )

    @pytest.mark.parametrize("value", ["plugins", "plugins/.state", "./plugins/a/b", "project"])
    def test_watched_folder_is_refused(self, place: Place, value: str) -> None:
        (place.project / "project").symlink_to(place.plugins)
        settings = place.load(flags={"state_dir": value})
        with pytest.raises(SettingsError) as error:
            settings.require_state_dir()
        assert str(error.value) == (
            f"the state folder {place.project / value} is inside the watched {place.plugins}: "
            "name a folder outside with --state-dir"
        )

    @pytest.mark.skipif(os.name == "nt", reason="links need rights there")
    def test_link_to_itself_is_left_to_a_write(self, place: Place) -> None:
        (place.project / "loop").symlink_to("loop")
        for value in ("loop", "loop/state"):
            assert place.load(flags={"state_dir": value}).require_state_dir() == place.project / value

    @pytest.mark.parametrize("value", ["", " ", "a\0b", 5])
    def test_value_must_be_a_path(self, place: Place, value: object) -> None:
        assert place.error(flags={"state_dir": value}).startswith(
            "flag --state-dir: must be the path of a folder, not "
        )

    @pytest.mark.parametrize("found", ["~/.local/state/owui-watch", "relative/owui-watch"])
    def test_user_without_a_home_gets_a_message(
        self, place: Place, monkeypatch: pytest.MonkeyPatch, found: str
    ) -> None:
        monkeypatch.setattr(platformdirs, "user_state_path", lambda *_, **__: Path(found))
        with pytest.raises(SettingsError) as error:
            place.load().require_state_dir()
        assert str(error.value) == (
            "no folder for the state: you have no home folder (HOME is not set). "
            "Name a folder with --state-dir or OWUI_WATCH_STATE_DIR"
        )


class TestLibraries:
    def test_are_folders_below_the_toml(self, place: Place) -> None:
        for name in ("shared", "plugins/lib"):
            (place.project / name).mkdir()
        place.toml.write_text('libraries = ["shared", "plugins/lib/", "./shared"]\n')
        assert place.load().libraries == (place.project / "shared", place.plugins / "lib")

    @pytest.mark.parametrize("value", ["..", ".", "/", "plugins/../..", "link"])
    def test_outside_is_refused(self, place: Place, value: str) -> None:
        (place.project / "link").symlink_to(place.project.parent)
        place.toml.write_text(f'libraries = ["{value}"]\n')
        assert place.error() == (
            f"{place.toml}: libraries: '{value}' must be a folder below {place.project}, also once links are resolved"
        )

    @pytest.mark.parametrize("value", ["missing", "file.py", "loop"])
    def test_missing_folder_is_refused(self, place: Place, value: str) -> None:
        (place.project / "file.py").touch()
        (place.project / "loop").symlink_to(place.project / "loop")
        place.toml.write_text(f'libraries = ["{value}"]\n')
        assert place.error() == f"{place.toml}: libraries: there is no such folder: '{value}'"

    @pytest.mark.parametrize(("name", "owner"), [("json", "Python"), ("pydantic", "Open WebUI"), ("a/types", "Python")])
    def test_name_of_a_server_module_is_refused(self, place: Place, name: str, owner: str) -> None:
        (place.project / name).mkdir(parents=True)
        place.toml.write_text(f'libraries = ["{name}"]\n')
        module = name.rpartition("/")[2]
        assert place.error() == (
            f"{place.toml}: libraries: '{name}' would hide the module {module} of {owner} from plugins: rename the folder"
        )

    @pytest.mark.parametrize("name", ["my-lib", "3d", "class", "a.b"])
    def test_name_that_cannot_be_imported_is_refused(self, place: Place, name: str) -> None:
        (place.project / name).mkdir()
        place.toml.write_text(f'libraries = ["{name}"]\n')
        assert place.error() == (
            f"{place.toml}: libraries: '{name}' can't be imported: '{name}' is no name of a Python package; rename it"
        )

    def test_two_of_one_name_are_refused(self, place: Place) -> None:
        for name in ("one/shared", "two/shared"):
            (place.project / name).mkdir(parents=True)
        place.toml.write_text('libraries = ["one/shared", "two/shared"]\n')
        assert place.error() == (
            f"{place.toml}: libraries: 'one/shared' and 'two/shared' have the same name: rename one of the folders"
        )

    @pytest.mark.parametrize("value", ['"shared"', "[1]", '[""]', "true", "{}"])
    def test_value_must_be_a_list_of_folders(self, place: Place, value: str) -> None:
        place.toml.write_text(f"libraries = {value}\n")
        assert place.error().startswith(f'{place.toml}: libraries: must be a list of folders, like ["shared"], not ')


class TestRoots:
    def test_order_of_paths_makes_no_difference(self, place: Place) -> None:
        one, two, elsewhere = place.plugins / "one", place.plugins / "two", place.project.parent / "elsewhere"
        for folder in (one, two, elsewhere):
            folder.mkdir()
        for first, second in ((one, two), (one, elsewhere)):
            assert place.load(first, second) == place.load(second, first)

    def test_default_is_plugins_else_current_folder(self, place: Place) -> None:
        assert place.load().roots == (place.plugins,)
        assert place.load(cwd=place.plugins).roots == (place.plugins,)

    def test_none_is_inside_another(self, place: Place) -> None:
        inner = place.plugins / "filters"
        inner.mkdir()
        file = inner / "x.py"
        file.touch()
        other = place.project / "other.py"
        other.touch()
        assert place.load(file, "plugins/filters", "other.py", "plugins", "./plugins/", inner).roots == (
            other,
            place.plugins,
        )
        assert place.load(file, file).roots == (file,)
        assert place.load("plugins/../plugins").roots == (place.plugins,)
        assert place.load("..", cwd=inner).roots == (place.plugins,)
        (place.project / "plugins2").mkdir()
        assert len(place.load("plugins", "plugins2").roots) == 2

    @pytest.mark.skipif(os.name == "nt", reason="links need rights there")
    def test_links_are_resolved(self, place: Place) -> None:
        link = place.project / "link"
        link.symlink_to(place.plugins)
        assert place.load(link).roots == (place.plugins.resolve(),)
        assert place.load(link, place.plugins).roots == (place.plugins.resolve(),)

    def test_missing_path_is_named(self, place: Place) -> None:
        assert place.error("nowhere") == f"{place.project / 'nowhere'}: there is no such file or folder"
        (place.project / "file").touch()
        assert place.error("file/x") == f"{place.project / 'file/x'}: there is no such file or folder"

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in folders there")
    def test_pipe_is_refused(self, place: Place) -> None:
        os.mkfifo(place.project / "pipe")
        assert place.error("pipe") == f"{place.project / 'pipe'}: is neither a folder nor a file"

    @pytest.mark.skipif(os.name == "nt", reason="links need rights there")
    @pytest.mark.parametrize("spell", [as_written, through_a_link])
    def test_file_system_and_home_are_refused(
        self, place: Place, monkeypatch: pytest.MonkeyPatch, spell: Callable[[Place, Path], Path]
    ) -> None:
        monkeypatch.setenv("HOME", str(place.plugins))
        advice = "which owui-watch doesn't watch: name the folder that holds your plugins"
        home = spell(place, place.plugins)
        assert place.error(home) == f"{home}: is your whole home folder, {advice}"
        (place.project / "link").unlink(missing_ok=True)
        root = spell(place, Path("/"))
        assert place.error(root) == f"{root}: is a whole file system, {advice}"
        assert place.error(cwd=place.plugins) == f"{place.plugins}: is your whole home folder, {advice}"


class TestBase:
    def test_is_the_tomls_folder_else_the_current_one(self, place: Place) -> None:
        file, elsewhere = place.plugins / "x.py", place.project.parent / "elsewhere"
        file.touch()
        elsewhere.mkdir()
        assert place.load(file).base == place.project
        assert place.load(file, cwd=place.plugins).base == place.plugins
        assert place.load(file, cwd=elsewhere).base == place.plugins
        assert place.load(place.plugins, cwd=elsewhere).base == place.plugins
        assert place.load(file, elsewhere).base == elsewhere
        place.toml.touch()
        assert place.load(file, cwd=elsewhere).base == place.project
        assert place.load(file, cwd=place.plugins).base == place.project
        (elsewhere / TOML).touch()
        assert place.load(file, config=elsewhere / TOML).base == place.project

    def test_file_system_root_is_no_base(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        anchor = Path(place.project.anchor)
        assert place.load(place.plugins, cwd=anchor).base == place.plugins
        monkeypatch.setenv("HOME", str(place.project))
        monkeypatch.setenv("USERPROFILE", str(place.project))
        assert place.load(place.plugins).base == place.project
        place.toml.touch()
        assert place.load(place.plugins, cwd=anchor).base == place.project


class TestBadFiles:
    def test_other_encoding_is_named_with_its_line(self, place: Place) -> None:
        place.env.write_bytes(f"a=1\napi_key={CANARY}\nb=\xff".encode("latin-1"))
        assert place.error() == f"{place.env}:3: isn't UTF-8: save the file in that encoding"
        place.env.write_bytes(f"api_key={CANARY}".encode("utf-16"))
        assert place.error() == f"{place.env}:1: isn't UTF-8: save the file in that encoding"
        place.env.unlink()
        place.toml.write_bytes(b"# \xff")
        assert place.error() == f"{place.toml}:1: isn't UTF-8: save the file in that encoding"

    def test_unreadable_file_is_named(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(path: Path, *_: object) -> int:
            raise PermissionError(13, "Permission denied", path)

        place.env.write_text("api_key=x")
        monkeypatch.setattr(os, "open", refuse)
        assert place.error() == f"{place.env}: can't be read: Permission denied"

    @pytest.mark.parametrize(
        "line", [f"api_key: {CANARY}", f'api_key="{CANARY}', f"OPENWEBUI_API_KEY {CANARY}", "OWUI_WATCH_MAX_NEW 3"]
    )
    def test_broken_line_with_our_name(self, place: Place, line: str, caplog: pytest.LogCaptureFixture) -> None:
        place.env.write_text(f"a=1\n\n  {line}\n")
        assert place.error() == f"{place.env}:3: can't be read: write NAME=value, with both quotes or none"
        assert not caplog.records

    def test_bad_toml_has_line_and_column(self, place: Place) -> None:
        place.toml.write_text(f"max_new = 1\napi_key = {CANARY}\n")
        assert place.error() == f"{place.toml}:2:11: isn't TOML: Invalid value"


class TestNames:
    @pytest.mark.parametrize(
        "name", ["api_key", "key", "api-key", "OPENWEBUI_API_KEY", "token", "openwebui_token", "jwt"]
    )
    def test_key_does_not_belong_into_toml(self, place: Place, name: str) -> None:
        belongs = "an API key belongs in OPENWEBUI_API_KEY, in the environment or in .env, and nowhere else"
        place.toml.write_text(f'{name} = "{CANARY}"\n')
        assert place.error() == f"{place.toml}: {name}: {belongs}; remove it from this file"
        place.toml.write_text(f'[openwebui]\n{name} = "{CANARY}"\n')
        assert place.error() == f"{place.toml}: {name}: {belongs}; remove it from this file"

    @pytest.mark.parametrize(
        ("name", "meant"), [("debonce", "debounce"), ("max-new", "max_new"), ("ignored", "ignore"), ("id", "ids")]
    )
    def test_unknown_name_in_toml(self, place: Place, name: str, meant: str) -> None:
        place.toml.write_text(f"{name} = 1\n")
        assert place.error() == f"{place.toml}: {name}: there is no such setting: did you mean {meant}?"

    def test_unknown_name_like_no_other(self, place: Place) -> None:
        place.toml.write_text("colour = 1\n")
        assert place.error() == (f"{place.toml}: colour: there is no such setting; there are {', '.join(OPTIONS)}")

    @pytest.mark.parametrize(
        ("name", "meant"),
        [
            ("OWUI_WATCH_DEBONCE", "OWUI_WATCH_DEBOUNCE"),
            ("owui_watch_max_new", "OWUI_WATCH_MAX_NEW"),
            ("OWUI_WATCH_URL", "OPENWEBUI_URL"),
            ("OWUI_WATCH_API_KEY", "OPENWEBUI_API_KEY"),
        ],
    )
    def test_unknown_variable_of_ours(self, place: Place, name: str, meant: str) -> None:
        problem = f"there is no such setting: did you mean {meant}?"
        assert place.error(environ={name: CANARY}) == f"environment {name}: {problem}"
        place.env.write_text(f"{name}={CANARY}\n")
        assert place.error() == f"{place.env}: {name}: {problem}"


class TestValues:
    @pytest.mark.parametrize(
        ("line", "problem"),
        [
            ('debounce = "0.1"', "debounce: must be a number of seconds from 0.01 to 10, not '0.1'"),
            ("debounce = true", "debounce: must be a number of seconds from 0.01 to 10, not True"),
            ("debounce = 0", "debounce: must be a number of seconds from 0.01 to 10, not 0"),
            ("debounce = 10.1", "debounce: must be a number of seconds from 0.01 to 10, not 10.1"),
            ("debounce = nan", "debounce: must be a number of seconds from 0.01 to 10, not nan"),
            ("debounce = inf", "debounce: must be a number of seconds from 0.01 to 10, not inf"),
            ("debounce = -inf", "debounce: must be a number of seconds from 0.01 to 10, not -inf"),
            ("max_new = -1", "max_new: must be a whole number of 0 or more, not -1"),
            ("max_new = 1.0", "max_new: must be a whole number of 0 or more, not 1.0"),
            ("max_new = false", "max_new: must be a whole number of 0 or more, not False"),
            ("enable_new = 1", "enable_new: must be true or false, not 1"),
            ('global_new = "true"', "global_new: must be true or false, not 'true'"),
            ('ignore = "drafts"', 'ignore: must be a list of globs, like ["drafts/**", "*_old.py"], not \'drafts\''),
            ('ignore = ["a", 1]', 'ignore: must be a list of globs, like ["drafts/**", "*_old.py"], not [\'a\', 1]'),
            ('ignore = ["[z-a].py"]', "ignore: '[z-a].py' is not a glob: write it as in a .gitignore"),
            ('ignore = [""]', 'ignore: must be a list of globs, like ["drafts/**", "*_old.py"], not [\'\']'),
            ('log_format = "jsn"', "log_format: must be console or json, not 'jsn': did you mean json?"),
            ('log_format = "xml"', "log_format: must be console or json, not 'xml'"),
            ("log_format = 1", "log_format: must be console or json, not 1"),
            ("ca_file = 1", "ca_file: must be the path of a file, not 1"),
            ('ca_file = ""', "ca_file: must be the path of a file, not ''"),
            ("url = 3000", "url: must be a URL in quotes, not 3000"),
            ('url = ""', "url: is empty: give the address of the server, like 'http://localhost:3000'"),
            (
                'url = "localhost:3000"',
                "url: must begin with http:// or https://, not 'localhost:3000': did you mean 'http://localhost:3000'?",
            ),
            ("ids = 1", 'ids: must be a table, [ids], with lines like "filters/foo.py" = "my_id", not 1'),
            ('ids = {"a.py" = 1}', "ids: the id of 'a.py' must be a text in quotes, not 1"),
            ('ids = {"a.py" = " "}', "ids: the id of 'a.py' must be a text in quotes, not ''"),
        ],
    )
    def test_bad_one_is_named_with_file_and_name(self, place: Place, line: str, problem: str) -> None:
        place.toml.write_text(line)
        assert place.error() == f"{place.toml}: {problem}"

    @pytest.mark.parametrize("path", ["/x.py", "C:/x.py", "../x.py", "x", "x.toml"])
    def test_ids_name_files_below(self, place: Place, path: str) -> None:
        place.toml.write_text(f'[ids]\n"{path}" = "x"\n')
        wanted = "the path of a .py file in quotes, or its end"
        assert place.error() == f"{place.toml}: ids: '{path}' must be {wanted}"

    def test_ids_need_quotes(self, place: Place) -> None:
        place.toml.write_text('[ids]\nfoo.py = "x"\n')
        assert "ids: 'foo' must be the path of a .py file in quotes" in place.error()

    def test_ids_are_kept_with_slashes(self, place: Place) -> None:
        place.toml.write_text("[ids]\n'filters\\foo.py' = 'My.Id'\n'./b.py' = 'b'\n'a/b c/d.py' = 'd'\n")
        assert dict(place.load().ids) == {"filters/foo.py": "My.Id", "b.py": "b", "a/b c/d.py": "d"}

    @pytest.mark.parametrize(
        ("variable", "value", "problem"),
        [
            ("OWUI_WATCH_DEBOUNCE", "fast", "must be a number of seconds from 0.01 to 10, not 'fast'"),
            ("OWUI_WATCH_DEBOUNCE", "nan", "must be a number of seconds from 0.01 to 10, not nan"),
            ("OWUI_WATCH_MAX_NEW", "2.5", "must be a whole number of 0 or more, not 2.5"),
            ("OWUI_WATCH_ENABLE_NEW", "perhaps", "must be true or false, not 'perhaps'"),
            ("OWUI_WATCH_LOG_FORMAT", "Jsn", "must be console or json, not 'jsn': did you mean json?"),
            ("OWUI_WATCH_LOG_FORMAT", CANARY, "must be console or json, not '***'"),
            ("OPENWEBUI_URL", CANARY, None),
            ("OPENWEBUI_API_KEY", f"{CANARY} {CANARY}", None),
        ],
    )
    def test_bad_one_is_named_with_its_variable(
        self, place: Place, variable: str, value: str, problem: str | None
    ) -> None:
        from_environment = place.error(environ={variable: value})
        place.env.write_text(f"{variable}={value}\n")
        from_file = place.error()
        assert from_environment.startswith(f"environment {variable}: {problem or ''}")
        assert from_file.startswith(f"{place.env}: {variable}: {problem or ''}")

    def test_bad_one_is_named_with_its_flag(self, place: Place) -> None:
        assert (
            place.error(flags={"max_new": "many"}) == "flag --max-new: must be a whole number of 0 or more, not 'many'"
        )
        assert place.error(flags={"url": ""}).startswith("flag --url: is empty")
        assert place.load(flags={"max_new": "3", "debounce": "0.5"}).max_new == 3

    @given(st.floats() | st.integers() | st.booleans() | st.text() | st.lists(st.integers()))
    def test_debounce_out_of_range_is_an_error(self, value: object) -> None:
        try:
            read = OPTIONS["debounce"].check.accept(value, Path())
        except ValueError:
            return
        assert isinstance(read, float)
        assert 0.01 <= read <= 10
        assert not isinstance(value, bool)


class TestAuthority:
    def test_is_relative_to_who_names_it(self, place: Place) -> None:
        (place.plugins / ".env").write_text("OWUI_WATCH_CA_FILE=ca.pem\n")
        elsewhere = place.project / "elsewhere"
        expected = [authority(folder / "ca.pem") for folder in (place.project / "conf", place.plugins, elsewhere)]
        (place.project / "conf/my.toml").write_text('ca_file = "ca.pem"\n')
        from_env = place.load(place.plugins)
        from_flag = place.load(place.plugins, flags={"ca_file": Path("ca.pem")}, cwd=elsewhere)
        (place.plugins / ".env").unlink()
        from_toml = place.load(place.plugins, config=Path("conf/my.toml"))
        assert [from_toml.ca_file, from_env.ca_file, from_flag.ca_file] == expected

    def test_must_exist_and_hold_certificates(self, place: Place) -> None:
        place.toml.write_text('ca_file = "ca.pem"\n')
        assert place.error() == f"{place.toml}: ca_file: there is no such file: {place.project / 'ca.pem'}"
        (place.project / "ca.pem").write_text("nothing")
        problem = f"{place.toml}: ca_file: has no certificate in PEM form that can be read: {place.project / 'ca.pem'}"
        assert place.error().startswith(problem)


class TestUrlAndKey:
    def test_environment_key_stays_away_from_a_files_server(self, place: Place) -> None:
        environ = {"OPENWEBUI_API_KEY": CANARY}
        for file, text in ((place.toml, 'url = "https://evil.com"'), (place.env, "url=https://evil.com")):
            file.write_text(text)
            error = place.error(environ=environ)
            assert error.startswith(
                f"{file}: url: names the server https://evil.com, but the API key comes from somewhere else"
            )
            assert place.load(environ=environ | {"OPENWEBUI_URL": "https://mine.com"}).url == "https://mine.com"
            assert place.load(environ=environ, flags={"url": "https://evil.com"}).key == Secret(CANARY)

    def test_same_folder_belongs_together(self, place: Place) -> None:
        place.toml.write_text('url = "https://ai.example.com"')
        place.env.write_text("api_key=beside")
        assert place.load().key == Secret("beside")
        assert place.load(environ={"OPENWEBUI_API_KEY": CANARY}).key == Secret("beside")
        (place.plugins / ".env").write_text(f"api_key={CANARY}")
        assert f"or write OPENWEBUI_URL into {place.plugins / '.env'}, beside the key" in place.error()

    @pytest.mark.skipif(os.name == "nt", reason="links need rights there")
    def test_link_to_a_key_elsewhere_is_elsewhere(self, place: Place, tmp_path: Path) -> None:
        (tmp_path / "mine.env").write_text(f"api_key={CANARY}")
        place.toml.write_text('url = "https://evil.com"')
        place.env.symlink_to("../mine.env")
        assert "comes from somewhere else" in place.error()

    def test_missing_key_is_an_error_once_needed(self, place: Place) -> None:
        place.toml.write_text('url = "https://me:canary@ai.example.com"')
        place.env.write_text("api_key=\n")
        settings = place.load(place.plugins)
        with pytest.raises(SettingsError) as caught:
            settings.require_key()
        assert str(caught.value) == (
            "no API key for https://***@ai.example.com: set OPENWEBUI_API_KEY in the environment or in .env (an API key or "
            "a JWT; Open WebUI shows both under Settings > Account).\n"
            "Searched:\n"
            "  OPENWEBUI_API_KEY in the environment\n"
            f"  {place.plugins / '.env'} (not there)\n"
            f"  {place.env} (has none)"
        )
        assert place.load(environ={"OPENWEBUI_API_KEY": "x", "OPENWEBUI_URL": "http://h"}).require_key() == Secret("x")

    @pytest.mark.parametrize("line", ["OPENWEBUI_API_KEY=${MY_KEY}", "OPENWEBUI_API_KEY='$MY_KEY'"])
    def test_variable_as_a_key_gets_a_message(self, place: Place, line: str) -> None:
        place.env.write_text(f"MY_KEY={CANARY}\n{line}\n")
        with pytest.raises(SettingsError) as caught:
            place.load().require_key()
        assert str(caught.value).endswith(
            f"  {place.env} (its OPENWEBUI_API_KEY begins with $: variables are not expanded here; "
            "write the key itself)"
        )
        assert "canary" not in str(caught.value)

    def test_settings_show_no_secret(self, place: Place) -> None:
        settings = place.load(
            environ={"OPENWEBUI_API_KEY": CANARY, "OPENWEBUI_URL": "https://me:canary@ai.example.com"}
        )
        assert settings.url == "https://me:canary@ai.example.com"
        assert "canary" not in f"{settings} {settings!r}"


class TestRereadKey:
    def test_new_key_is_found(self, place: Place) -> None:
        before = place.load()
        assert before.key is None
        place.env.write_text("api_key=new")
        after = reread_key(before, {})
        assert (after.key, after.env_file) == (Secret("new"), place.env)
        assert dataclasses.replace(after, key=None, key_source=None, env_file=None) == before
        place.env.unlink()
        assert reread_key(after, {}) == before

    def test_rules_of_the_first_reading_still_hold(self, place: Place) -> None:
        place.toml.write_text('url = "https://ai.example.com"')
        place.env.write_text("api_key=old")
        settings = place.load(place.plugins)
        (place.plugins / ".env").write_text(f"api_key={CANARY}")
        with pytest.raises(SettingsError, match="comes from somewhere else"):
            reread_key(settings, {})
        (place.plugins / ".env").write_text(f"api_key={CANARY} {CANARY}")
        with pytest.raises(SettingsError, match="holds a blank"):
            reread_key(settings, {})

    def test_other_server_is_refused(self, place: Place) -> None:
        place.env.write_text("url=https://one.example.com\napi_key=one")
        settings = place.load()
        place.env.write_text("url=https://two.example.com\napi_key=two")
        with pytest.raises(SettingsError) as caught:
            reread_key(settings, {})
        assert str(caught.value) == (
            f"{place.env}: url: names another server now, https://two.example.com: start owui-watch again"
        )
        place.env.write_text("url=https://one.example.com/\napi_key=two")
        assert reread_key(settings, {}).key == Secret("two")


class TestExample:
    def test_has_every_setting_with_its_default(self, place: Place) -> None:
        place.toml.write_bytes(EXAMPLE.read_bytes())
        settings, defaults = place.load(), Settings(roots=(place.plugins,), base=place.project)
        for name in OPTIONS:
            assert getattr(settings, name) == getattr(defaults, name), name
        written = tomllib.loads(EXAMPLE.read_text(encoding="utf-8"))
        commented = set(re.findall(r"^# (\w+) = ", EXAMPLE.read_text(encoding="utf-8"), re.MULTILINE))
        assert set(written) | commented == {name for name, option in OPTIONS.items() if option.from_files}
        none = {name for name in OPTIONS if getattr(defaults, name) is None}
        assert commented == none - {"state_dir"}

    def test_comments_are_right_too(self, place: Place) -> None:
        text = re.sub(r'^# (\w+|"[^"]+")( = )', r"\1\2", EXAMPLE.read_text(encoding="utf-8"), flags=re.MULTILINE)
        place.toml.write_text(text, encoding="utf-8")
        authority(place.project / "certs/authority.pem")
        settings = place.load()
        assert settings.ca_file == place.project / "certs/authority.pem"
        assert dict(settings.ids) == {"filters/foo.py": "my_id"}

    def test_every_setting_has_a_description(self) -> None:
        assert all(option.doc and option.name == name for name, option in OPTIONS.items())

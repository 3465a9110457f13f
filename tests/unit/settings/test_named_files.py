"""What is named on the command line beats the environment, for URL and key together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from owui_watch.settings import Layer, SandboxServer, Secret, Settings, SettingsError, load, reread_key

PROD, DEV = "https://prod.example.com", "https://dev.example.com"
EXPORTED = {"OPENWEBUI_URL": PROD, "OPENWEBUI_API_KEY": "prod-key"}
DEV_FILE = f"OPENWEBUI_URL={DEV}\nOPENWEBUI_API_KEY=dev-key\n"


class Project:
    """A folder with plugins, a ``dev.env`` and a ``.env``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "plugins").mkdir(parents=True)
        self.env = folder / "dev.env"

    def load(self, environ: Mapping[str, str] = EXPORTED, **more: object) -> Settings:
        named = {"env_file": self.env} if self.env.exists() else {}
        arguments = {"paths": [], "flags": {}, "environ": environ, "cwd": self.folder, **named, **more}
        return load(**arguments)  # type: ignore[arg-type]

    def error(self, environ: Mapping[str, str] = EXPORTED, **more: object) -> str:
        with pytest.raises(SettingsError) as caught:
            self.load(environ, **more)
        assert "-key" not in str(caught.value)
        return str(caught.value)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path.resolve() / "project")


class TestEnvFile:
    def test_beats_the_environment(self, project: Project) -> None:
        project.env.write_text(f"{DEV_FILE}OWUI_WATCH_MAX_NEW=7\n")
        settings = project.load(EXPORTED | {"OWUI_WATCH_MAX_NEW": "3"})
        assert (settings.url, settings.key, settings.max_new) == (DEV, Secret("dev-key"), 7)
        assert settings.key_source is not None
        assert settings.key_source.file == project.env == settings.url_source.file

    def test_found_one_does_not(self, project: Project) -> None:
        (project.folder / ".env").write_text(DEV_FILE)
        settings = project.load()
        assert (settings.url, settings.key) == (PROD, Secret("prod-key"))

    def test_flag_beats_it(self, project: Project) -> None:
        project.env.write_text("OPENWEBUI_API_KEY=dev-key\n")
        settings = project.load(flags={"url": "https://other.example.com"})
        assert (settings.url, settings.key) == ("https://other.example.com", Secret("dev-key"))

    def test_two_servers_on_the_command_line_are_refused(self, project: Project) -> None:
        project.env.write_text(DEV_FILE)
        assert project.error(flags={"url": PROD}) == (
            f"flag --url names {PROD}, and {project.env}: OPENWEBUI_URL (--env-file) names {DEV}: remove one of them"
        )
        assert project.load(flags={"url": f"{DEV}/"}).key == Secret("dev-key")

    def test_key_alone_is_not_for_the_exported_server(self, project: Project) -> None:
        project.env.write_text("OPENWEBUI_API_KEY=dev-key\n")
        assert project.error() == (
            f"{project.env}: OPENWEBUI_API_KEY: is a key without a server, and the environment OPENWEBUI_URL names "
            f"{PROD}.\nWrite OPENWEBUI_URL beside the key in {project.env}, or give it with --url."
        )

    def test_key_alone_is_for_the_default_server(self, project: Project) -> None:
        project.env.write_text("OPENWEBUI_API_KEY=dev-key\n")
        settings = project.load({"OPENWEBUI_API_KEY": "prod-key"})
        assert (settings.url, settings.key) == ("http://localhost:3000", Secret("dev-key"))

    def test_key_alone_is_for_the_server_beside_it(self, project: Project) -> None:
        project.env.write_text("OPENWEBUI_API_KEY=dev-key\n")
        (project.folder / "owui-watch.toml").write_text(f'url = "{DEV}"\n')
        assert project.load({"OPENWEBUI_API_KEY": "prod-key"}).key == Secret("dev-key")

    @pytest.mark.parametrize("url", ["http://localhost:3001", "http://127.0.0.1"])
    def test_local_server_does_not_get_an_exported_key(self, project: Project, url: str) -> None:
        project.env.write_text(f"OPENWEBUI_URL={url}\n")
        assert project.error() == (
            f"{project.env}: OPENWEBUI_URL: names the server {url} without a key, and the key in the environment "
            f"belongs to {PROD} (OPENWEBUI_URL).\nWrite OPENWEBUI_API_KEY beside the URL in {project.env}, or unset "
            "OPENWEBUI_URL if the key is for this server."
        )

    def test_server_alone_gets_no_key_from_elsewhere(self, project: Project) -> None:
        project.env.write_text(f"OPENWEBUI_URL={DEV}\n")
        assert "but the API key comes from somewhere else" in project.error()

    def test_same_server_as_exported_is_no_conflict(self, project: Project) -> None:
        project.env.write_text("OPENWEBUI_URL=http://localhost:3000/\n")
        exported = {"OPENWEBUI_URL": "http://localhost:3000", "OPENWEBUI_API_KEY": "key"}
        assert project.load(exported).key == Secret("key")

    def test_its_new_key_is_read_again(self, project: Project) -> None:
        project.env.write_text(DEV_FILE)
        settings = project.load()
        project.env.write_text(DEV_FILE.replace("dev-key", "dev-key-2"))
        assert reread_key(settings, EXPORTED).key == Secret("dev-key-2")

    def test_makes_no_room_while_it_is_empty(self, project: Project) -> None:
        project.env.write_text("OPENWEBUI_URL=http://localhost\nOPENWEBUI_API_KEY=dev-key\n")
        local = project.load()
        project.env.write_text("OPENWEBUI_API_KEY=dev-key\n")
        flagged = project.load(flags={"url": DEV})
        project.env.write_text("")
        assert [reread_key(settings, EXPORTED).key for settings in (local, flagged)] == [None, None]


class TestConfig:
    def test_beats_the_environment(self, project: Project) -> None:
        (project.folder / "my.toml").write_text("max_new = 7\n")
        environ = EXPORTED | {"OWUI_WATCH_MAX_NEW": "3"}
        assert project.load(environ, config=Path("my.toml")).max_new == 7
        assert project.load(environ, config=Path("my.toml"), flags={"max_new": "1"}).max_new == 1

    def test_env_file_beats_it(self, project: Project) -> None:
        (project.folder / "my.toml").write_text(f'url = "{PROD}"\nmax_new = 7\n')
        project.env.write_text(f"{DEV_FILE}OWUI_WATCH_MAX_NEW=5\n")
        settings = project.load(config=Path("my.toml"))
        assert (settings.url, settings.key, settings.max_new) == (DEV, Secret("dev-key"), 5)

    def test_its_server_gets_no_exported_key(self, project: Project) -> None:
        (project.folder / "my.toml").write_text(f'url = "{DEV}"\n')
        assert "but the API key comes from somewhere else" in project.error(config=Path("my.toml"))
        (project.folder / "my.toml").write_text('url = "http://localhost"\n')
        assert f"belongs to {PROD} (OPENWEBUI_URL)" in project.error(config=Path("my.toml"))

    def test_found_one_does_not_beat_the_environment(self, project: Project) -> None:
        (project.folder / "owui-watch.toml").write_text(f'url = "{DEV}"\n')
        assert project.load().url == PROD


class TestSandbox:
    SANDBOX = SandboxServer("http://127.0.0.1:8123", Secret("sandbox-key"))

    def test_beats_every_file_and_the_environment(self, project: Project) -> None:
        project.env.write_text(DEV_FILE)
        settings = project.load(server=self.SANDBOX, flags={"url": PROD})
        assert (settings.url, settings.key) == (self.SANDBOX.url, self.SANDBOX.key)
        assert settings.url_source.layer is Layer.SANDBOX

    def test_keeps_its_key(self, project: Project) -> None:
        project.env.write_text(DEV_FILE)
        settings = project.load(server=self.SANDBOX)
        assert reread_key(settings, EXPORTED) == settings

    def test_needs_no_usable_pair_elsewhere(self, project: Project) -> None:
        project.env.write_text(f"OPENWEBUI_URL={DEV}\n")
        assert project.load(server=self.SANDBOX).key == Secret("sandbox-key")

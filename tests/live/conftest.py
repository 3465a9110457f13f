"""One server for all tests, empty before each; a folder of plugins and owui-watch on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from owui_watch.plugins.model import Kind
from owui_watch.sandbox import Sandbox
from tests.live.harness import PATIENCE, Run, clean_environ
from tests.live.samples import source
from tests.live.server import Server


@pytest.fixture(scope="session")
def _server(openwebui: Sandbox) -> Iterator[Server]:
    server = Server(openwebui)
    yield server
    server.close()


@pytest.fixture
def server(_server: Server) -> Iterator[Server]:
    """The server, without any plugin."""
    _server.delete_all()
    yield _server
    _server.delete_all()


class Project:
    """A folder with ``plugins/`` in it, where someone works on them."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self.folder = folder
        self.plugins = folder / "plugins"
        self.plugins.mkdir()
        self.environ = dict(environ)
        self.state = Path(self.environ["OWUI_WATCH_STATE_DIR"])
        self.secrets: list[str] = []

    def replace(self, name: str, content: str) -> None:
        """Move a whole file into place below ``plugins/``: nobody ever reads half of it, however slow the machine is."""
        whole = self.folder / "whole"
        whole.write_text(content, encoding="utf-8")
        whole.replace(self.plugins / name)

    def use(self, url: str, key: str) -> None:
        """Name a server and a key in the environment."""
        self.environ |= {"OPENWEBUI_URL": url, "OPENWEBUI_API_KEY": key}
        self.secrets.append(key)

    def save(self, name: str, content: str) -> Path:
        """Write a file below ``plugins/`` in place."""
        path = self.plugins / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
        return path

    def backups(self, plugin: str) -> list[Path]:
        """Return the copies of a plugin that were kept."""
        return sorted(self.state.glob(f"trees/*/*/backups/{plugin}/*.py"))

    def remembered(self) -> str:
        """Return the logs of what is remembered, as they are on the disk."""
        return "\n".join(path.read_text("utf-8") for path in sorted(self.state.glob("trees/*/*/journal.jsonl")))

    def run(self, *arguments: str) -> Run:
        """Start owui-watch with just these arguments."""
        return Run(arguments, folder=self.folder, environ=self.environ, secrets=self.secrets)

    def watch(self, *arguments: str) -> Run:
        """Start owui-watch on ``plugins/`` and wait until it sees every save."""
        run = self.run("plugins/", "--log-format", "json", *arguments)
        with run.ended_by_an_error():
            run.wait_for("watching", timeout=3 * PATIENCE)  # a loaded machine starts slowly
        return run


def make_project(above: Path) -> Project:
    """Make a project that knows of no server."""
    for name in ("home", "project"):
        (above / name).mkdir()
    return Project(above / "project", clean_environ(above / "home"))


@pytest.fixture
def bare_project(tmp_path: Path) -> Project:
    """A project that knows of no server."""
    return make_project(tmp_path)


@dataclass(frozen=True)
class Watched:
    """A project that owui-watch watches; tests that share it use names of their own."""

    project: Project
    run: Run
    server: Server

    def create(self, kind: Kind, name: str, mark: str = "one") -> Path:
        """Have a first version of a plugin live."""
        path = self.project.save(f"{name}.py", source(kind, mark, version="1.0.0"))
        self.run.wait_for("created", plugin=name)
        return path


@pytest.fixture(scope="module")
def watched(_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """One owui-watch and one server for all tests of a module: what they do must not come in each other's way."""
    _server.delete_all()
    project = make_project(tmp_path_factory.mktemp("watched"))
    project.use(_server.url, _server.key)
    with project.watch() as run:
        yield Watched(project, run, _server)
    _server.delete_all()


@pytest.fixture
def project(bare_project: Project, server: Server) -> Project:
    """A project with the real server's address and an administrator's API key."""
    bare_project.use(server.url, server.key)
    return bare_project

"""A cloned repository decides nothing: not what is deployed, not where we write, not who gets the key."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from owui_watch.plugins.model import Kind
from tests.live.conftest import Project
from tests.live.samples import source
from tests.live.server import Server

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links need rights there")


def snapshot(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture
def outside(project: Project) -> Path:
    """Files of the user that the clone's links lead to."""
    outside = project.folder.parent / "outside"
    outside.mkdir()
    (outside / "precious").write_text("precious")
    return outside


def state_of_an_early_release(folder: Path, url: str, digest: str) -> None:
    """Write what made early releases deploy: a memory of ``theirs``, a begun request and a deploy that was asked for."""
    folder.mkdir()
    short = hashlib.sha256(url.replace("127.0.0.1", "localhost").encode()).hexdigest()[:12]
    contents: dict[str, dict[str, object]] = {"state": {"functions/theirs": digest}, "asked": {"plugins": []}}
    for name, value in contents.items():
        servers = {url.replace("127.0.0.1", "localhost"): value}
        (folder / f"{name}.json").write_text(json.dumps({"format": 1, "servers": servers}))
    intent = ["functions/theirs", digest, True, False, True, 1.5, 0, 0]
    (folder / f"intents-{short}.jsonl").write_text(f"\n{json.dumps(intent)}")


def test_its_memory_deploys_nothing(project: Project, server: Server, outside: Path) -> None:
    project.save("theirs.py", source(mark="theirs"))
    for folder in (project.plugins, project.folder):
        state_of_an_early_release(folder / ".owui-watch", server.url, "0" * 64)
    before = snapshot(project.folder)
    with project.watch() as run:
        warning = run.wait_for("warning")
        assert warning["error"].startswith(f"{project.plugins}/.owui-watch is ignored: ")
        project.save("mine.py", source(mark="mine"))
        run.wait_for("created", plugin="mine")
        run.stop()
    assert server.ids() == {"mine"}
    after = snapshot(project.folder)
    assert {name: content for name, content in after.items() if name != "plugins/mine.py"} == before


@pytest.mark.parametrize("target", ["outside", "/dev/zero"])
def test_its_links_lead_no_write_outside(project: Project, server: Server, outside: Path, target: str) -> None:
    folder = project.plugins / ".owui-watch"
    folder.mkdir()
    names = ("backups", "state.json", "asked.json", "state.json.1.tmp", "0123456789ab.lock", "journal.jsonl", "trees")
    for name in names:
        (folder / name).symlink_to(outside.parent / target)
    with project.watch() as run:
        project.save("shared.py", source(mark="one"))
        run.wait_for("created", plugin="shared")
        server.edit(Kind.PIPE, "shared", source(mark="edited in the browser"))
        project.save("shared.py", source(mark="two"))
        backup = run.wait_for("backed_up", plugin="shared")["backup"]
        run.wait_for("updated", plugin="shared")
        run.stop()
    assert [path.read_text("utf-8") for path in project.backups("shared")] == [source(mark="edited in the browser")]
    assert str(project.backups("shared")[0]).endswith(backup.lstrip("./"))
    assert snapshot(outside) == {"precious": b"precious"}
    assert sorted(path.name for path in project.plugins.rglob("*") if not path.is_symlink()) == [
        ".owui-watch",
        "shared.py",
    ]


def test_pull_through_its_links_writes_nothing_outside(project: Project, server: Server, outside: Path) -> None:
    server.create(Kind.PIPE, "notes", source(mark="live"), title="Notes")
    (project.plugins / "pipes").symlink_to(outside)
    with project.run("pull") as run:
        run.ends(1)
    assert "pull into the folder that the link leads to (--to)" in run.told()
    assert snapshot(outside) == {"precious": b"precious"}


@pytest.mark.parametrize("host", ["chat.localhost", "localhost."])
def test_its_url_gets_no_key(project: Project, server: Server, host: str) -> None:
    del project.environ["OPENWEBUI_URL"]
    (project.folder / ".env").write_text(f"OPENWEBUI_URL=http://{host}:{server.url.rpartition(':')[2]}\n")
    with project.run("plugins/") as run:
        assert "but the API key comes from somewhere else" in run.fails(2)

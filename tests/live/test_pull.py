"""Pull: the server's plugins as files, which are in sync with it; and never over what someone wrote."""

from __future__ import annotations

from pathlib import Path

from owui_watch.openwebui.releases import version_number
from owui_watch.plugins.model import Kind
from tests.live.conftest import Project
from tests.live.golden import as_documented, told, without_server
from tests.live.harness import Run
from tests.live.samples import EVERY_KIND, source
from tests.live.server import Json, Server


def said(run: Run, code: int = 0) -> str:
    with run:
        return without_server(run.ends(code))


def kinds(server: Server) -> list[Kind]:
    """Return the kinds that this release has."""
    return [kind for kind in EVERY_KIND if kind is not Kind.EVENT or version_number(server.version) >= (0, 10)]


def files(project: Project) -> set[str]:
    found = project.plugins.rglob("*.py")
    return {path.relative_to(project.plugins).as_posix() for path in found}


def everything(server: Server) -> list[Json]:
    """Return all that an update would change, the time of it included."""
    return [
        server.plugin(kind, name) for kind in EVERY_KIND for name in sorted(server.ids()) if has(server, kind, name)
    ]


def has(server: Server, kind: Kind, name: str) -> bool:
    return any(plugin["id"] == name for plugin in server.all(kind.space))


def test_pull_writes_what_the_server_holds(project: Project, server: Server) -> None:
    server.create(Kind.FILTER, "tidy", source(Kind.FILTER, title="Tidy Up", version="0.3"), title="Tidy Up")
    server.create(Kind.TOOL, "clock", source(Kind.TOOL, title="Clock", version="1.0.0"), title="Clock")
    assert as_documented("pull", "pull", said(project.run("pull"))) == told("""
        written      filter tidy 0.3  plugins/filters/tidy.py
        written      tool clock 1.0.0  plugins/tools/clock.py
        written 2, unchanged 0, not written 0
        """)
    assert files(project) == {"filters/tidy.py", "tools/clock.py"}


def test_deploy_of_a_pulled_tree_sends_nothing(project: Project, server: Server) -> None:
    contents = {
        **{f"{kind}s/my_{kind}.py": source(kind, title=f"My {kind}", version="1.0.0") for kind in kinds(server)},
        "pipes/windows.py": source(title="Windows").replace("\n", "\r\n"),
        "pipes/rewritten.py": source(top="from utils.misc import get_last_user_message"),
        "pipes/unicode.py": "# -*- coding: latin-1 -*-\n# ünï\n" + source(),
        "filters/clock.py": source(Kind.FILTER, title="One id in both spaces"),
        "tools/clock.py": source(Kind.TOOL, title="One id in both spaces"),
        "filters/test_me/filter.py": source(Kind.FILTER),
        "pipes/plugins.py": source(title="A kind folder's name"),
    }
    for place, content in contents.items():
        path = Path(place)
        name = path.parent.name if path.stem == "filter" else path.stem
        server.create(Kind(path.parts[0].removesuffix("s")), name, content, title=name)
    before = everything(server)
    text = said(project.run("pull"))
    assert text.endswith(f"written {len(contents)}, unchanged 0, not written 0\n")
    assert files(project) == set(contents)
    for place, content in contents.items():
        encoding = "latin-1" if "latin-1" in content else "utf-8"
        on_server = content.replace("from utils", "from open_webui.utils")
        assert (project.plugins / place).read_bytes() == on_server.encode(encoding), place

    with project.run("deploy", "--json") as run:
        run.ends(0)
    assert {line["event"] for line in run.lines} == {"server", "unchanged", "finished"}
    assert (run.lines[-1]["unchanged"], everything(server)) == (len(contents), before)
    assert said(project.run("pull")).endswith(f"written 0, unchanged {len(contents)}, not written 0\n")
    # What was pulled is ours: a change of it overwrites nobody's.
    project.save("pipes/my_pipe.py", source(mark="two"))
    with project.run("deploy", "--json") as run:
        run.ends(0)
    assert [line["event"] for line in run.lines if line["event"] != "unchanged"] == [
        "server",
        "updated",
        "finished",
    ]


def test_pull_takes_named_plugins_to_a_named_folder(project: Project, server: Server) -> None:
    for name in ("one", "two"):
        server.create(Kind.PIPE, name, source(version="1.0.0"), title=name)
    assert said(project.run("pull", "one", "tow", "--to", "work/space"), 1) == told("""
        written      pipe one 1.0.0  work/space/pipes/one.py
        not written  tow is not in the server's list: did you mean two?
        written 1, unchanged 0, not written 1
        """)
    assert sorted(path.name for path in (project.folder / "work/space").rglob("*.py")) == ["one.py"]


def test_pull_never_overwrites_a_local_change_unasked(project: Project, server: Server) -> None:
    path = project.save("deep/down/parrot.py", source(version="1.0.0"))
    said(project.run("deploy"))
    server.edit(Kind.PIPE, "parrot", source(version="1.1.0"))
    mine = path.read_text("utf-8") + "# mine\n"
    path.write_text(mine, "utf-8")
    diff = """\
        --- plugins/deep/down/parrot.py
        +++ server/functions/parrot
        @@ -1,5 +1,5 @@
         \"\"\"
        -version: 1.0.0
        +version: 1.1.0
         \"\"\"
         from pydantic import BaseModel

        @@ -13,4 +13,3 @@

             def pipe(self, body):
                 return "one"
        -# mine
"""
    refused = said(project.run("pull"), 1)
    assert "\n".join(line.rstrip() for line in refused.splitlines()) + "\n" == told(f"""
        not written  pipe parrot 1.1.0  plugins/deep/down/parrot.py: it has changes that are not on the server
                     deploy it, or overwrite it with --force; a copy is kept
{diff}        written 0, unchanged 0, not written 1
        """)
    assert path.read_text("utf-8") == mine

    forced = said(project.run("pull", "--force"))
    backup = next(line.split(" to ")[1] for line in forced.splitlines() if "the old file was copied" in line)
    assert (project.folder / backup).read_text("utf-8") == mine
    assert path.read_text("utf-8") == source(version="1.1.0")


def test_pull_updates_files_that_nobody_changed(project: Project, server: Server) -> None:
    path = project.save("parrot.py", source(version="1.0.0"))
    path.chmod(0o600)
    said(project.run("deploy"))
    server.edit(Kind.PIPE, "parrot", source(version="1.1.0"))
    assert "written 1, unchanged 0, not written 0" in said(project.run("pull"))
    assert path.read_text("utf-8") == source(version="1.1.0")
    assert path.stat().st_mode & 0o777 == 0o600
    assert files(project) == {"parrot.py"}


def test_settings_hold_ids_that_no_file_name_can(project: Project, server: Server) -> None:
    server.create(Kind.PIPE, "main", source(), title="A generic name")
    server.create(Kind.FILTER, "con", source(Kind.FILTER), title="A device of Windows")
    server.create(Kind.TOOL, "mine", source(Kind.TOOL, header="id: another"), title="Another id in its header")
    lines = {
        '"filters/con_filter.py" = "con"',
        '"pipes/main.py" = "main"',
        '"tools/mine.py" = "mine"',
    }
    text = said(project.run("pull"), 1)
    assert {line.partition("owui-watch.toml: ")[2] for line in text.splitlines() if "[ids]" in line} == lines
    assert files(project) == set()
    (project.folder / "owui-watch.toml").write_text("[ids]\n" + "\n".join(sorted(lines)), "utf-8")
    assert said(project.run("pull")).endswith("written 3, unchanged 0, not written 0\n")
    assert files(project) == {"filters/con_filter.py", "pipes/main.py", "tools/mine.py"}
    before = everything(server)
    assert "deployed 0, unchanged 3, rejected 0" in said(project.run("deploy"))
    assert everything(server) == before


def test_pull_stays_in_its_folder_off_other_files(project: Project, server: Server) -> None:
    for name in ("one", "two"):
        server.create(Kind.PIPE, name, source(), title=name)
    outside = project.folder / "outside"
    outside.mkdir()
    (project.plugins / "pipes").symlink_to(outside)
    text = said(project.run("pull"), 1)
    assert text.count("a symlink leads out of the folder") == 2
    assert list(outside.iterdir()) == []
    (project.plugins / "pipes").unlink()
    taken = project.save("pipes/one.py", source(header="id: something_else"))
    said(project.run("pull"))
    assert taken.read_text("utf-8") == source(header="id: something_else")
    assert files(project) == {"pipes/one.py", "pipes/one/pipe.py", "pipes/two.py"}

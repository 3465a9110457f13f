"""Two instances on one SQLite file behind a round-robin proxy: every line is true of each instance.

``--openwebui=VERSION`` chooses the release of the pair; two releases on one database run with ``-m replicas``.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from owui_watch.openwebui.releases import version_number
from owui_watch.plugins.model import Kind
from tests.live.conftest import Project
from tests.live.harness import until
from tests.live.replicas import Replicas, replicas
from tests.live.samples import source, with_broken_specs


def marked(kind: Kind, mark: str, *, top: str = "") -> str:
    return source(kind, mark, valve=f'mark: str = "{mark}"', top=top)


@pytest.fixture(scope="module")
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    release = request.config.getoption("--openwebui")
    with replicas((release, release), tmp_path_factory.mktemp("pair")) as running:
        yield running


@pytest.fixture
def project(bare_project: Project, pair: Replicas) -> Project:
    bare_project.use(pair.url, pair.key)
    pair.balancer.repeat = lambda _method, _path: False
    pair.servers[0].delete_all()
    return bare_project


class TestUpdate:
    @pytest.mark.parametrize("kind", [Kind.PIPE, Kind.FILTER, Kind.ACTION, Kind.TOOL])
    def test_reaches_every_instance(self, kind: Kind, project: Project, pair: Replicas) -> None:
        with project.watch() as run:
            project.save("sample.py", marked(kind, "one"))
            run.wait_for("created", plugin="sample")
            assert pair.marks(kind, "sample") == ["one", "one"]
            project.save("sample.py", marked(kind, "two"))
            run.wait_for("updated", plugin="sample")
            if kind is Kind.TOOL and version_number(pair.servers[0].version) < (0, 9, 3):
                pair.list_tools()
            assert pair.marks(kind, "sample") == ["two", "two"]


class TestNewPipe:
    def test_is_known_to_every_instance(self, project: Project, pair: Replicas) -> None:
        with project.watch() as run:
            project.save("fresh.py", marked(Kind.PIPE, "one"))
            run.wait_for("created", plugin="fresh")
            until(lambda: all(server.knows("fresh") for server in pair.servers), "both instances have listed the pipe")

    def test_answers_through_either_instance(self, project: Project) -> None:
        with project.watch("--ask", "hi") as run:
            for name in ("asked1", "asked2", "asked3"):
                project.save(f"{name}.py", marked(Kind.PIPE, "one"))
                assert run.wait_for("answer", plugin=name)["text"] == "one"
                project.save(f"{name}.py", marked(Kind.PIPE, "two"))
                assert run.wait_for("answer", plugin=name)["text"] == "two"


class TestRefusal:
    @pytest.mark.parametrize("kind", [Kind.FILTER, Kind.TOOL])
    def test_leaves_every_instance_as_before(self, kind: Kind, project: Project, pair: Replicas) -> None:
        with project.watch() as run:
            project.save("sample.py", marked(kind, "one"))
            run.wait_for("created", plugin="sample")
            assert pair.marks(kind, "sample") == ["one", "one"]
            for _ in range(2):
                project.save("sample.py", marked(kind, "bad", top="import no_such_module_here"))
                run.wait_for("rejected", plugin="sample")
                project.save("sample.py", marked(kind, "one"))
                run.wait_for("unchanged", plugin="sample")
                assert pair.marks(kind, "sample") == ["one", "one"]
            if kind is Kind.FILTER:
                assert pair.active("sample") == [True, True]

    def test_of_tool_specs_heals_every_instance(self, project: Project, pair: Replicas) -> None:
        broken = with_broken_specs(marked(Kind.TOOL, "bad"))
        with project.watch() as run:
            project.save("sample.py", marked(Kind.TOOL, "one"))
            run.wait_for("created", plugin="sample")
            assert pair.marks(Kind.TOOL, "sample") == ["one", "one"]
            for _ in range(2):
                project.save("sample.py", broken)
                run.wait_for("rejected", plugin="sample")
                assert pair.marks(Kind.TOOL, "sample") == ["one", "one"]
                project.save("sample.py", marked(Kind.TOOL, "one"))
                run.wait_for("unchanged", plugin="sample")
                assert pair.marks(Kind.TOOL, "sample") == ["one", "one"]


class TestProxyThatRepeatsPosts:
    @pytest.mark.parametrize("kind", [Kind.PIPE, Kind.FILTER, Kind.TOOL])
    def test_create_is_reported_and_enabled(self, kind: Kind, project: Project, pair: Replicas) -> None:
        pair.balancer.repeat = lambda method, path: method == "POST" and path.endswith("/create")
        with project.watch() as run:
            project.save("sample.py", marked(kind, "one"))
            run.wait_for("created", plugin="sample")
            assert pair.marks(kind, "sample") == ["one", "one"]
            if kind is not Kind.TOOL:
                assert pair.active("sample") == [True, True]


@pytest.mark.replicas
class TestInstanceKilled:
    def test_save_goes_live_through_the_other(self, project: Project, pair: Replicas) -> None:
        with project.watch() as run:
            project.save("sample.py", marked(Kind.FILTER, "one"))
            run.wait_for("created", plugin="sample")
            pair.instances[1].kill()
            try:
                project.save("sample.py", marked(Kind.FILTER, "two"))
                run.wait_for("updated", plugin="sample")
                assert pair.servers[0].spec(Kind.FILTER, "sample")["properties"]["mark"]["default"] == "two"
            finally:
                pair.restart(1)
        assert pair.marks(Kind.FILTER, "sample") == ["two", "two"]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    """Two releases on one database: the older one first, so that the newer one has migrated it last."""
    with replicas(("0.11.4", "0.12.4"), tmp_path_factory.mktemp("mixed")) as running:
        yield running


@pytest.mark.replicas
class TestMixedReleases:
    def test_refusal_never_leaves_the_plugin_disabled(self, bare_project: Project, mixed: Replicas) -> None:
        bare_project.use(mixed.url, mixed.key)
        with bare_project.watch() as run:
            bare_project.save("sample.py", marked(Kind.FILTER, "one"))
            run.wait_for("created", plugin="sample")
            for number in range(4):
                bare_project.save("sample.py", marked(Kind.FILTER, f"bad{number}", top="import no_such_module_here"))
                run.wait_for("rejected", plugin="sample")
                assert mixed.servers[0].plugin(Kind.FILTER, "sample")["is_active"]

    @pytest.mark.parametrize("connected_to", [0, 1])
    def test_refused_tool_runs_on_no_instance(self, connected_to: int, bare_project: Project, mixed: Replicas) -> None:
        mixed.servers[0].delete_all()
        bare_project.use(mixed.url, mixed.key)
        mixed.balancer.start_with(connected_to)
        with bare_project.watch() as run:
            assert run.of("watching")[0]["server_version"] == mixed.servers[connected_to].version
            bare_project.save("sample.py", marked(Kind.TOOL, "one"))
            run.wait_for("created", plugin="sample")
            assert mixed.marks(Kind.TOOL, "sample") == ["one", "one"]
            for number in range(4):
                bare_project.save("sample.py", with_broken_specs(marked(Kind.TOOL, f"bad{number}")))
                run.wait_for("rejected", plugin="sample")
                assert mixed.marks(Kind.TOOL, "sample") == ["one", "one"]

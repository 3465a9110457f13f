"""Whatever happens in between: once the server can be reached, it holds for every managed plugin what its file holds.

A state machine saves, breaks, deletes and renames plugins, changes them on the server, cuts the way to it, spoils the
answers, repeats requests, ends owui-watch and kills it, runs a second one for another server and unpacks a hostile
repository; now and then all is let come to rest and held against the promise. By default it takes some 200 steps, always
the same ones. ``OWUI_WATCH_STEPS=5000`` takes that many, on two instances with one database and a cache each; their seed
is printed, and ``OWUI_WATCH_SEED`` repeats it. A failing example tells its story, to be kept in ``test_machine_found.py``.
"""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from owui_watch.sandbox import sandbox
from tests.live.replicas import replicas
from tests.live.server import Server
from tests.resilience.model import KINDS, Story

BY_DEFAULT = 210
STEPS = int(os.environ.get("OWUI_WATCH_STEPS", BY_DEFAULT))
SEED = os.environ.get("OWUI_WATCH_SEED")
KILLS = 1 + STEPS // 1000
"""Times that the real server is killed and started again, which takes it ten seconds."""
AT_A_TIME = 30
"""Steps of one example, each with a new owui-watch on an empty folder."""
NAMES = st.sampled_from(["notes", "helper", "notes", "helper", "notes", "guard", "press"])
"""Much happens to a few, so that one thing meets another."""
HOW = st.sampled_from(["good", "broken", "good", "refusing", "good"])
ON_FILES = ["save"] * 5 + ["save again", "delete", "rename"] * 2
ON_THE_SERVER = ["edit", "edit now", "edit now", "take away", "toggle"]
TROUBLE = ["restart", "restart", "way", "storm", "moment", "rest", "second", "clone"]


class Machine(RuleBasedStateMachine):
    """One example: a story that hypothesis makes up."""

    server: ClassVar[Server]
    others: ClassVar[Sequence[Server]] = ()
    folder: ClassVar[Path]
    examples: ClassVar[int] = 0
    steps: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        Machine.examples += 1
        above = Machine.folder / f"{Machine.examples}"
        above.mkdir()
        self.story = Story(above, Machine.server, Machine.others)
        self.stormy = False
        try:
            self.story.start()
            for name in KINDS:
                self.story.save(name)
        except BaseException:
            self.story.end()
            raise

    def teardown(self) -> None:
        Machine.steps += self.story.steps
        self.story.end()

    @rule(
        do=st.sampled_from(ON_FILES + ON_THE_SERVER + TROUBLE),
        name=NAMES,
        how=HOW,
        number=st.integers(0, 2**16),
        yes=st.booleans(),
    )
    def step(self, do: str, name: str, how: str, number: int, yes: bool) -> None:
        """Take one step. One rule for all: hypothesis leaves some rules out of an example, and here all must meet."""
        if do in ON_FILES:
            self._work(do, name, how, number, yes)
        elif do in ON_THE_SERVER:
            self._interfere(do, name)
            if yes and do != "toggle":
                self.story.save(name, how)
        else:
            self._trouble(do, number, yes)

    def _work(self, do: str, name: str, how: str, number: int, replace: bool) -> None:
        match do:
            case "save":
                self.story.save(name, how, pinned=number % 2 == 0, replace=replace)
            case "save again":
                self.story.save_again(name, number % 3)
            case "delete":
                self.story.delete(name)
            case "rename":
                self.story.rename(name)

    def _interfere(self, do: str, name: str) -> None:
        match do:
            case "edit":
                self.story.edit(name)
            case "edit now":
                self.story.edit_now(name)
            case "take away":
                self.story.take_away(name)
            case "toggle":
                self.story.toggle(name)

    def _trouble(self, do: str, number: int, yes: bool) -> None:
        story = self.story
        match do:
            case "rest":
                story.rest(nudge=number % 4 > 0)
                self.stormy = False
            case "way":
                (story.close if story.is_open else story.open)()
            case "second":
                story.start_or_end_second()
            case "clone":
                story.clone(number)
            case "storm" if not self.stormy:  # what fails with 500 again and again is the plugin's own doing
                story.storm(number, 0.5 if yes else 0.2)
                self.stormy = True
            case "restart" if story.run is not None:
                (story.kill if yes else story.stop)()
            case "restart":
                story.start()
            case _:
                story.moment(1 + number % 4)


@pytest.fixture
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[type[Machine]]:
    """The machine, on the real server; for a long run on two instances with one database."""
    Machine.folder = tmp_path
    Machine.examples = Machine.steps = 0
    with ExitStack() as stack:
        if STEPS > BY_DEFAULT:
            version = request.config.getoption("--openwebui")
            folder = tmp_path / "pair"
            folder.mkdir()
            pair = stack.enter_context(replicas((version, version), folder))
            Machine.server, *Machine.others = pair.servers
        else:
            Machine.server, Machine.others = request.getfixturevalue("server"), ()
        yield Machine
    print(f"{Machine.steps} steps in {Machine.examples} examples")


def test_at_rest_the_server_holds_the_files(machine: type[Machine]) -> None:
    chosen = None
    if SEED or STEPS > BY_DEFAULT:
        chosen = int(SEED or secrets.randbelow(2**32))
        seed(chosen)(machine)
    print(f"OWUI_WATCH_SEED={chosen}: {STEPS} steps")
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=-(-STEPS // AT_A_TIME),
            stateful_step_count=AT_A_TIME,
            derandomize=chosen is None,
            database=None,
            deadline=None,
            phases=[Phase.generate],  # a story told against a live server is read, not shrunk
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert machine.steps >= STEPS


@contextmanager
def server_on(data: Path, version: str) -> Iterator[Server]:
    """Start a server on what the last one left behind."""
    with sandbox(version, data=data) as running:
        server = Server(running)
        try:
            yield server
        finally:
            server.close()


def test_server_killed_during_saves_holds_them_later(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    version, data = request.config.getoption("--openwebui"), tmp_path / "data"
    with ExitStack() as ending:
        for time in range(KILLS):
            with server_on(data, version) as server:
                if time == 0:
                    story = Story(tmp_path, server)
                    story.project.use(story.way.url, server.session)  # unlike its API key, it outlives a restart
                    ending.callback(story.end)
                story.move(server)
                for name in KINDS:
                    story.save(name)
                story.rest(nudge=False)
                for name in KINDS:
                    story.save(name)
                story.moment(2 + 2 * time)
                os.killpg(server.pid, signal.SIGKILL)
                story.save("notes")
                story.save("guard", "broken")
                if time % 3:
                    (story.stop if time % 3 == 1 else story.kill)()
                    story.save("press")
        ending.pop_all()
        with ExitStack() as back:
            server = back.enter_context(server_on(data, version))
            back.callback(story.end)
            story.move(server)
            story.rest(nudge=False)

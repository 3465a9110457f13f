"""Whatever happens in between: once the server can be reached, it holds for every managed plugin what its file holds.

A state machine saves, breaks, deletes and renames plugins, changes them on the server, cuts the way to it, spoils the
answers, ends owui-watch and kills it; now and then all is let come to rest and held against the promise. By default it
takes some 200 steps, always the same ones. ``OWUI_WATCH_STEPS=5000`` takes that many; their seed is printed, and
``OWUI_WATCH_SEED`` repeats it. A failing example tells its story, to be kept in ``test_machine_found.py``.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from tests.live.server import Server
from tests.resilience.model import KINDS, Story

STEPS = int(os.environ.get("OWUI_WATCH_STEPS", "210"))
SEED = os.environ.get("OWUI_WATCH_SEED")
AT_A_TIME = 30
"""Steps of one example, each with a new owui-watch on an empty folder."""
NAMES = st.sampled_from([name for name in KINDS if name != "sentinel"])


class Machine(RuleBasedStateMachine):
    """One example: a story that hypothesis makes up."""

    server: ClassVar[Server]
    folder: ClassVar[Path]
    examples: ClassVar[int] = 0
    steps: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        Machine.examples += 1
        above = Machine.folder / f"{Machine.examples}"
        above.mkdir()
        self.story = Story(above, Machine.server)
        self.story.start()
        self.stormy = False

    def teardown(self) -> None:
        Machine.steps += self.story.steps
        self.story.end()

    def _watched(self) -> bool:
        return self.story.run is not None

    @rule(name=NAMES, pinned=st.booleans(), replace=st.booleans())
    def save(self, name: str, pinned: bool, replace: bool) -> None:
        self.story.save(name, "good", pinned=pinned, replace=replace)

    @rule(name=NAMES, how=st.sampled_from(["good", "broken", "refusing"]), pinned=st.booleans())
    def save_what_may_be_bad(self, name: str, how: str, pinned: bool) -> None:
        self.story.save(name, how, pinned=pinned)

    @rule(name=NAMES, back=st.integers(0, 2))
    def save_again(self, name: str, back: int) -> None:
        self.story.save_again(name, back)

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        self.story.delete(name)

    @rule(name=NAMES)
    def rename(self, name: str) -> None:
        self.story.rename(name)

    @rule(name=NAMES)
    def edit_on_the_server(self, name: str) -> None:
        self.story.edit(name)

    @rule(name=NAMES)
    def delete_on_the_server(self, name: str) -> None:
        self.story.take_away(name)

    @rule(name=NAMES)
    def toggle_on_the_server(self, name: str) -> None:
        self.story.toggle(name)

    @precondition(lambda self: self.story.is_open)
    @rule()
    def server_goes_away(self) -> None:
        self.story.close()

    @precondition(lambda self: not self.story.is_open)
    @rule()
    def server_is_back(self) -> None:
        self.story.open()

    @precondition(lambda self: not self.stormy)  # a line that fails with 500 again and again is the plugin's own doing
    @rule(number=st.integers(0, 2**16), share=st.sampled_from([0.2, 0.5]))
    def storm(self, number: int, share: float) -> None:
        self.story.storm(number, share)
        self.stormy = True

    @precondition(_watched)
    @rule()
    def stop(self) -> None:
        self.story.stop()

    @precondition(_watched)
    @rule()
    def kill(self) -> None:
        self.story.kill()

    @precondition(lambda self: not self._watched())
    @rule()
    def start(self) -> None:
        self.story.start()

    @rule(requests=st.integers(1, 4))
    def moment(self, requests: int) -> None:
        self.story.moment(requests)

    @rule(nudge=st.sampled_from([True, True, True, False]))
    def rest(self, nudge: bool) -> None:
        self.story.rest(nudge=nudge)
        self.stormy = False


@pytest.fixture
def machine(server: Server, tmp_path: Path) -> Iterator[type[Machine]]:
    """The machine, on the real server."""
    Machine.server, Machine.folder = server, tmp_path
    Machine.examples = Machine.steps = 0
    yield Machine
    print(f"{Machine.steps} steps in {Machine.examples} examples")


def test_at_rest_the_server_holds_what_the_files_hold_whatever_happened(machine: type[Machine]) -> None:
    chosen = None
    if SEED or STEPS > 210:
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

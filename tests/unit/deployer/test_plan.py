"""The next step for one plugin: a row a branch, and any state of a server brought to its end."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from owui_watch.deployer.plan import Attempt, Step, plan
from owui_watch.openwebui.releases import Release, release
from owui_watch.openwebui.responses import Refused, Remote
from owui_watch.plugins.content import digest
from owui_watch.plugins.model import Kind, Plugin, PluginKey
from owui_watch.settings import OnForeign
from owui_watch.state.journal import Intent

OURS, PUT, FOREIGN = "from utils import ours\n", "# put before\n", "# someone else's\n"
NEW, HIDING, OLD = release("0.12.4"), release("0.11.4"), release("0.9.6")
REFUSED, HIDDEN = Refused("invalid syntax"), Refused("Error creating function", hidden=True)
RELEASES = pytest.mark.parametrize("at", [NEW, HIDING, OLD], ids=lambda at: at.version)
HARMING = pytest.mark.parametrize("at", [HIDING, OLD], ids=lambda at: at.version)


def ours(kind: Kind = Kind.FILTER) -> Plugin:
    return Plugin(PluginKey(kind.space, "mine"), kind, Path("/w/mine.py"), OURS, {}, inferred=True)


def there(
    content: str | None, active: bool | None = True, is_global: bool | None = False, kind: Kind = Kind.FILTER
) -> Remote:
    if kind is Kind.TOOL:
        active = is_global = None
    return Remote(PluginKey(kind.space, "mine"), kind, "Mine", content, {}, active=active, is_global=is_global)


def intent(
    sent: str = OURS, active: bool | None = True, is_global: bool | None = False, *, fresh: bool = False
) -> Intent:
    return Intent(ours().key, digest(sent), active, is_global, fresh=fresh, began=0.0)


TOOLS = intent(active=None, is_global=None)
"""An update of a tool, which has no flags."""


def step(
    remote: Remote | None,
    attempt: Attempt,
    at: Release,
    on_foreign: OnForeign = OnForeign.BACKUP,
    plugin: Plugin | None = None,
) -> Step:
    return plan(plugin or ours(remote.kind if remote else Kind.FILTER), remote, attempt, at, on_foreign)


# What isn't there


@RELEASES
def test_what_is_not_there_is_created(at: Release) -> None:
    assert step(None, Attempt(), at) is Step.CREATE
    assert step(None, Attempt(intent=intent(fresh=True)), at) is Step.CREATE


@RELEASES
def test_what_went_away_under_an_update_is_created(at: Release) -> None:
    assert step(None, Attempt(intent=intent(), refusal=REFUSED), at) is Step.CREATE


@RELEASES
def test_a_refused_create_is_the_end(at: Release) -> None:
    assert step(None, Attempt(refusal=REFUSED, creating=True), at) is Step.REJECTED


def test_a_create_refused_without_a_reason_is_asked_about_once_where_an_update_tells() -> None:
    refused = Attempt(refusal=HIDDEN, creating=True)
    assert step(None, refused, NEW) is Step.ASK_WHY
    assert step(None, dataclasses.replace(refused, asked=True), NEW) is Step.REJECTED
    assert step(None, refused, HIDING) is Step.REJECTED
    assert step(None, refused, NEW, plugin=ours(Kind.TOOL)) is Step.REJECTED


@RELEASES
def test_nothing_is_created_for_a_file_that_cannot_be_sent(at: Release) -> None:
    assert plan(None, None, Attempt(intent=intent()), at, OnForeign.BACKUP) is Step.REJECTED


# What is there


@RELEASES
@pytest.mark.parametrize("content", [OURS, "from open_webui.utils import ours\n"])
@pytest.mark.parametrize("kind", list(Kind))
def test_what_the_server_holds_is_not_sent_again(at: Release, content: str, kind: Kind) -> None:
    assert step(there(content, kind=kind), Attempt(), at) is Step.IN_SYNC
    assert step(there(content, active=False, kind=kind), Attempt(ours=frozenset({digest(OURS)})), at) is Step.IN_SYNC


@RELEASES
def test_what_owui_watch_put_there_is_updated(at: Release) -> None:
    assert step(there(PUT), Attempt(ours=frozenset({digest(PUT)})), at) is Step.UPDATE


@RELEASES
def test_what_was_sent_and_never_answered_is_no_one_elses(at: Release) -> None:
    assert step(there(PUT), Attempt(intent=intent(PUT), ours=frozenset({digest(FOREIGN)})), at) is Step.UPDATE


@RELEASES
@pytest.mark.parametrize("put", [None, digest(PUT)])
def test_what_someone_else_put_there_is_treated_as_the_settings_say(at: Release, put: str | None) -> None:
    attempt = Attempt(ours=frozenset({put} if put else set()))
    assert step(there(FOREIGN), attempt, at, OnForeign.BACKUP) is Step.BACK_UP
    assert step(there(FOREIGN), attempt, at, OnForeign.REFUSE) is Step.REFUSE_FOREIGN
    assert step(there(FOREIGN), attempt, at, OnForeign.OVERWRITE) is Step.UPDATE
    assert step(there(FOREIGN), dataclasses.replace(attempt, backed_up=True), at, OnForeign.BACKUP) is Step.UPDATE


# After a refusal


@RELEASES
def test_a_refused_update_that_harmed_nothing_is_the_end(at: Release) -> None:
    assert step(there(PUT), Attempt(intent=intent(), refusal=REFUSED), at) is Step.REJECTED


@HARMING
def test_what_a_refusal_switched_off_is_switched_on_first(at: Release) -> None:
    attempt = Attempt(intent=intent(), refusal=REFUSED)
    assert step(there(PUT, active=False), attempt, at) is Step.SWITCH_ACTIVE
    assert step(there(PUT, active=True), attempt, at) is Step.REJECTED
    assert step(there(PUT, active=False), Attempt(intent=intent(active=False), refusal=REFUSED), at) is Step.REJECTED


def test_what_was_switched_off_on_a_server_whose_refusals_harm_nothing_stays_off() -> None:
    assert step(there(PUT, active=False), Attempt(intent=intent(), refusal=REFUSED), NEW) is Step.REJECTED
    assert step(there(PUT, active=False), Attempt(intent=intent(), ours=frozenset({digest(PUT)})), NEW) is Step.UPDATE


@HARMING
def test_a_tools_old_code_is_put_back_once(at: Release) -> None:
    attempt = Attempt(intent=TOOLS, refusal=REFUSED)
    tool = there(PUT, kind=Kind.TOOL)
    assert step(tool, attempt, at) is Step.PUT_BACK
    assert step(tool, dataclasses.replace(attempt, put_back=True), at) is Step.REJECTED
    assert step(there(PUT, kind=Kind.TOOL), Attempt(intent=TOOLS, refusal=REFUSED), NEW) is Step.REJECTED


@HARMING
def test_what_was_begun_is_mended_for_a_file_that_cannot_be_sent(at: Release) -> None:
    begun = Attempt(intent=intent())
    assert plan(None, there(PUT, active=False), begun, at, OnForeign.BACKUP) is Step.SWITCH_ACTIVE
    assert plan(None, there(PUT, kind=Kind.TOOL), Attempt(intent=TOOLS), at, OnForeign.BACKUP) is Step.PUT_BACK
    assert plan(None, there(PUT), begun, at, OnForeign.BACKUP) is Step.REJECTED


# Flags


@RELEASES
def test_a_new_function_gets_the_flags_that_the_settings_want(at: Release) -> None:
    wanted = Attempt(intent=intent(is_global=True, fresh=True))
    assert step(there(OURS, active=False), wanted, at) is Step.SWITCH_ACTIVE
    assert step(there(OURS, is_global=False), wanted, at) is Step.SWITCH_GLOBAL
    assert step(there(OURS, is_global=True), wanted, at) is Step.IN_SYNC
    unwanted = Attempt(intent=intent(active=False, fresh=True))
    assert step(there(OURS, active=True), unwanted, at) is Step.SWITCH_ACTIVE
    assert step(there(OURS, active=False), unwanted, at) is Step.IN_SYNC


@RELEASES
def test_flags_of_an_unfinished_create_are_set_before_newer_content_is_sent(at: Release) -> None:
    attempt = Attempt(intent=intent(PUT, fresh=True))
    assert step(there(PUT, active=False), attempt, at) is Step.SWITCH_ACTIVE
    assert step(there(PUT), attempt, at) is Step.UPDATE


@RELEASES
def test_what_was_switched_off_for_a_deleted_file_is_switched_on_when_it_is_back(at: Release) -> None:
    for content in (OURS, PUT):
        assert (
            step(there(content, active=False), Attempt(retired=True, ours=frozenset({digest(content)})), at)
            is Step.SWITCH_ACTIVE
        )
    assert step(there(OURS), Attempt(retired=True), at) is Step.IN_SYNC
    assert plan(None, there(PUT, active=False), Attempt(retired=True), at, OnForeign.BACKUP) is Step.REJECTED
    created_off = Attempt(retired=True, intent=intent(active=False, fresh=True))
    assert step(there(OURS, active=False), created_off, at) is Step.IN_SYNC


@RELEASES
def test_a_global_flag_that_someone_flipped_stays(at: Release) -> None:
    assert step(there(OURS, is_global=True), Attempt(intent=intent(), checked=True), at) is Step.IN_SYNC


# Valves


@HARMING
def test_taken_code_is_held_against_the_stored_valves_where_the_server_does_not(at: Release) -> None:
    sent = Attempt(intent=intent())
    assert step(there(OURS), sent, at) is Step.CHECK_VALVES
    assert step(there(OURS), dataclasses.replace(sent, checked=True), at) is Step.IN_SYNC
    assert step(there(OURS), Attempt(intent=intent(fresh=True)), at) is Step.IN_SYNC
    assert step(there(OURS), sent, NEW) is Step.IN_SYNC


@HARMING
@pytest.mark.parametrize("kind", [Kind.FILTER, Kind.TOOL])
def test_code_that_the_stored_valves_do_not_fit_gives_way_to_the_old(at: Release, kind: Kind) -> None:
    begun = TOOLS if kind is Kind.TOOL else intent()
    unfit = Attempt(intent=begun, checked=True, refusal=Refused("Current Valves are incompatible"))
    assert step(there(OURS, kind=kind), unfit, at) is Step.PUT_BACK
    assert step(there(PUT, kind=kind), dataclasses.replace(unfit, put_back=True), at) is Step.REJECTED


# Any state, to its end


@dataclass
class Server:
    """As much of an Open WebUI as a plan can tell apart.

    ``stood`` is what it held at first, ``runs`` the code that is live.
    """

    at: Release
    kind: Kind
    content: str | None
    active: bool
    is_global: bool
    accepts: bool
    valves_fit: bool
    backups: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stood = self.runs = self.content

    def look(self) -> Remote | None:
        return None if self.content is None else there(self.content, self.active, self.is_global, self.kind)

    def update(self, content: str) -> Refused | None:
        fits = self.valves_fit or not self.at.checks_valves
        if content == self.stood or (self.accepts and fits):
            self.content = self.runs = content
            return None
        if self.at.refusal_harms and self.content is not None:
            if self.kind is Kind.TOOL:
                self.runs = content
            else:
                self.active = False
        return Refused("why", hidden=self.at.events and self.at.refusal_harms)  # 0.10 and 0.11

    def create(self, content: str) -> Refused | None:
        if not self.accepts:
            return Refused("why", hidden=self.at.events)  # 0.10 and newer
        self.content = self.runs = content
        self.active = self.is_global = False
        return None


FINAL = {Step.IN_SYNC, Step.REJECTED, Step.REFUSE_FOREIGN}


def carry_out(
    server: Server, plugin: Plugin | None, attempt: Attempt, on_foreign: OnForeign, want: tuple[bool, bool]
) -> tuple[list[Step], Attempt]:
    """Do what the plan says until it has an end, as a deployment does."""
    first = server.content
    if attempt.intent and first is not None and attempt.intent.sent == digest(first):
        attempt = dataclasses.replace(attempt, checked=True)
    steps: list[Step] = []
    while not steps or steps[-1] not in FINAL:
        assert len(steps) < 12, steps
        remote = server.look()
        steps.append(plan(plugin, remote, attempt, server.at, on_foreign))
        match steps[-1]:
            case Step.CREATE:
                assert remote is None
                flags = (None, None) if server.kind is Kind.TOOL else want
                attempt = dataclasses.replace(attempt, intent=intent(OURS, *flags, fresh=True), refusal=None)
                if refusal := server.create(OURS):
                    attempt = dataclasses.replace(attempt, refusal=refusal, creating=True)
            case Step.UPDATE:
                assert remote is not None
                held = attempt.intent or remote
                begun = intent(OURS, held.active, held.is_global)
                attempt = dataclasses.replace(attempt, intent=begun, refusal=server.update(OURS))
            case Step.BACK_UP:
                server.backups.append(server.content or "")
                attempt = dataclasses.replace(attempt, backed_up=True)
            case Step.SWITCH_ACTIVE:
                server.active = not server.active
            case Step.SWITCH_GLOBAL:
                server.is_global = not server.is_global
            case Step.CHECK_VALVES:
                refusal = None if server.valves_fit else Refused("Current Valves are incompatible")
                attempt = dataclasses.replace(attempt, checked=True, refusal=refusal)
            case Step.PUT_BACK:
                assert first is not None
                assert server.update(first) is None
                attempt = dataclasses.replace(attempt, put_back=True)
            case Step.ASK_WHY:
                attempt = dataclasses.replace(attempt, refusal=server.update(OURS), asked=True)
            case final:
                assert final in FINAL
    return steps, attempt


@dataclass(frozen=True)
class State:
    """Where a deployment begins: perhaps after another one that was killed (``begun``)."""

    at: Release
    kind: Kind
    content: str | None
    active: bool
    is_global: bool
    accepts: bool
    valves_fit: bool
    begun: Intent | None
    put: str | None
    retired: bool
    sendable: bool
    on_foreign: OnForeign
    wanted: tuple[bool, bool]

    def server(self) -> Server:
        return Server(self.at, self.kind, self.content, self.active, self.is_global, self.accepts, self.valves_fit)

    @property
    def was_taken(self) -> bool:
        """Whether the server had taken what was sent before owui-watch was killed."""
        return self.begun is not None and self.content is not None and self.begun.sent == digest(self.content)

    @property
    def may_run_refused_code(self) -> bool:
        """Whether a tool's update was refused, perhaps, before owui-watch was killed."""
        begun = self.begun is not None and not self.begun.fresh and not self.was_taken
        return begun and self.at.refusal_harms and self.kind is Kind.TOOL and self.content is not None


FLAGS = st.booleans()
KINDS = st.sampled_from([Kind.FILTER, Kind.TOOL])


def states(kind: Kind) -> st.SearchStrategy[State]:
    flag = st.none() if kind is Kind.TOOL else FLAGS
    return st.builds(
        State,
        at=st.sampled_from([NEW, HIDING, OLD, release("0.3.35")]),
        kind=st.just(kind),
        content=st.sampled_from([None, OURS, PUT, FOREIGN]),
        begun=st.none()
        | st.builds(
            Intent,
            key=st.just(ours(kind).key),
            sent=st.sampled_from([OURS, PUT, FOREIGN]).map(digest),
            active=flag,
            is_global=flag,
            fresh=FLAGS,
            began=st.just(0.0),
        ),
        put=st.sampled_from([None, digest(OURS), digest(PUT)]),
    )


@settings(max_examples=700)
@given(KINDS.flatmap(states))
def test_every_state_comes_to_an_end_that_leaves_the_server_as_it_should_be(state: State) -> None:
    server = state.server()
    if state.may_run_refused_code:
        server.runs = "what was refused when owui-watch was killed"
    attempt = Attempt(intent=state.begun, ours=frozenset({state.put} if state.put else set()), retired=state.retired)
    plugin = ours(state.kind) if state.sendable else None
    steps, attempt = carry_out(server, plugin, attempt, state.on_foreign, state.wanted)
    event(steps[-1].name)
    check_the_end(state, server, steps)
    check_what_is_never_done(state, server, steps)
    if steps[-1] is not Step.REFUSE_FOREIGN:
        assert server.runs == server.content
        if state.kind is not Kind.TOOL and server.content is not None:
            check_the_flags(state, server, attempt.intent)


def check_the_end(state: State, server: Server, steps: list[Step]) -> None:
    if steps[-1] is Step.IN_SYNC:
        assert digest(server.content or "") == digest(OURS)
        return
    assert server.content == state.content
    if steps[-1] is Step.REJECTED:
        assert not state.sendable or not (state.accepts and state.valves_fit)
    else:
        assert state.on_foreign is OnForeign.REFUSE
        assert state.content in {PUT, FOREIGN}


def check_what_is_never_done(state: State, server: Server, steps: list[Step]) -> None:
    sent = Step.UPDATE in steps or Step.CREATE in steps
    assert not sent or (state.sendable and steps[-1] is not Step.REFUSE_FOREIGN)
    assert Step.CREATE not in steps or state.content is None
    assert steps.count(Step.UPDATE) <= 1
    if state.content == FOREIGN and Step.UPDATE in steps and state.on_foreign is OnForeign.BACKUP:
        assert server.backups == ([] if state.was_taken else [FOREIGN])


def check_the_flags(state: State, server: Server, final: Intent | None) -> None:
    begun_fresh = state.begun is not None and state.begun.fresh
    if final is not None and final.fresh:
        assert server.active == final.active
        assert server.is_global == final.is_global
        return
    if not begun_fresh:
        assert server.is_global == state.is_global
    if (state.retired and state.sendable) or (final is not None and final.active and state.at.refusal_harms):
        assert server.active
    elif not state.at.refusal_harms and not begun_fresh:
        assert server.active == state.active

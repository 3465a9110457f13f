"""The next step for one plugin: a row a branch, and any state of a server brought to its end."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from owui_watch.deployer.plan import Progress, Step, plan
from owui_watch.openwebui.releases import Release, release
from owui_watch.openwebui.remote import Remote
from owui_watch.openwebui.responses import Refused
from owui_watch.plugins.model import Kind, Plugin, PluginKey
from owui_watch.plugins.source import digest
from owui_watch.settings import OnForeign
from owui_watch.state.record import Intent, Record
from tests.conftest import EXAMPLES

OURS, PUT, FOREIGN = "from utils import ours\n", "# put before\n", "# someone else's\n"
NEW, HIDING, OLD = release("0.12.4"), release("0.11.4"), release("0.9.6")
REFUSED, HIDDEN = Refused("invalid syntax"), Refused("Error creating function", hidden=True)
DEPLOYED, DEPLOYED_OURS = frozenset({digest(PUT)}), frozenset({digest(OURS)})
RELEASES = pytest.mark.parametrize("at", [NEW, HIDING, OLD], ids=lambda at: at.version)
HARMING = pytest.mark.parametrize("at", [HIDING, OLD], ids=lambda at: at.version)


def ours(kind: Kind = Kind.FILTER) -> Plugin:
    return Plugin(PluginKey(kind.space, "mine"), kind, Path("/w/mine.py"), OURS, {}, inferred=True)


def there(content: str, active: bool | None = True, is_global: bool | None = False, kind: Kind = Kind.FILTER) -> Remote:
    if kind is Kind.TOOL:
        active = is_global = None
    return Remote(PluginKey(kind.space, "mine"), kind, "Mine", content, {}, active=active, is_global=is_global)


def intent(
    sent: str = OURS, active: bool | None = True, is_global: bool | None = False, *, fresh: bool = False
) -> Intent:
    return Intent(ours().key, digest(sent), active, is_global, fresh=fresh, began=0.0)


def update(active: bool | None = True, is_global: bool | None = False, sent: str = OURS) -> Intent:
    """An update that was begun."""
    return intent(sent, active, is_global)


def create(active: bool | None = True, is_global: bool | None = False, sent: str = OURS) -> Intent:
    """A create that was begun."""
    return intent(sent, active, is_global, fresh=True)


TOOL_UPDATE = update(active=None, is_global=None)
"""An update of a tool, which has no flags."""


def mine(remote: Remote | None = None, *, sendable: bool = True, **known: Any) -> Progress:
    """The progress of a plugin with our content, whose server copy is ``remote``."""
    kind = remote.kind if remote else known.pop("kind", Kind.FILTER)
    plugin = ours(kind)
    return Progress(plugin.key, plugin if sendable else None, remote, **known)


def step(progress: Progress, at: Release, on_foreign: OnForeign = OnForeign.BACKUP) -> Step:
    return plan(progress, at, on_foreign, now=0.0)


@RELEASES
class TestAbsent:
    def test_is_created(self, at: Release) -> None:
        assert step(mine(), at) is Step.CREATE
        assert step(mine(intent=create()), at) is Step.CREATE

    def test_is_created_if_gone_during_an_update(self, at: Release) -> None:
        assert step(mine(intent=update(), refusal=REFUSED), at) is Step.CREATE

    def test_refused_create_is_the_end(self, at: Release) -> None:
        assert step(mine(refusal=REFUSED, refused_create=True), at) is Step.REJECT

    def test_is_not_created_for_an_unsendable_file(self, at: Release) -> None:
        assert step(mine(sendable=False, intent=update()), at) is Step.REJECT


class TestHiddenReason:
    @pytest.mark.parametrize(
        ("at", "kind", "asked", "then"),
        [
            (NEW, Kind.FILTER, False, Step.ASK_WHY),
            (NEW, Kind.FILTER, True, Step.REJECT),
            (HIDING, Kind.FILTER, False, Step.REJECT),
            (NEW, Kind.TOOL, False, Step.ASK_WHY),
            (NEW, Kind.TOOL, True, Step.REJECT),
        ],
    )
    def test_is_asked_for_once_if_the_release_tells(self, at: Release, kind: Kind, asked: bool, then: Step) -> None:
        refused = mine(kind=kind, refusal=HIDDEN, refused_create=True, asked_why=asked)
        assert step(refused, at) is then


@RELEASES
class TestContent:
    @pytest.mark.parametrize("content", [OURS, "from open_webui.utils import ours\n"])
    @pytest.mark.parametrize("kind", list(Kind))
    def test_that_the_server_holds_is_not_sent(self, at: Release, content: str, kind: Kind) -> None:
        assert step(mine(there(content, kind=kind)), at) is Step.IN_SYNC
        assert step(mine(there(content, active=False, kind=kind), ours=DEPLOYED_OURS), at) is Step.IN_SYNC

    def test_of_ours_is_updated(self, at: Release) -> None:
        assert step(mine(there(PUT), ours=DEPLOYED), at) is Step.UPDATE

    def test_sent_without_an_answer_is_ours(self, at: Release) -> None:
        assert step(mine(there(PUT), intent=update(sent=PUT), ours=frozenset({digest(FOREIGN)})), at) is Step.UPDATE

    @pytest.mark.parametrize("known", [frozenset(), frozenset({digest(PUT)})])
    def test_of_others_follows_the_settings(self, at: Release, known: frozenset[str]) -> None:
        foreign = mine(there(FOREIGN), ours=known)
        assert step(foreign, at, OnForeign.BACKUP) is Step.BACK_UP
        assert step(foreign, at, OnForeign.REFUSE) is Step.REFUSE_FOREIGN
        assert step(foreign, at, OnForeign.OVERWRITE) is Step.UPDATE

    def test_of_others_is_backed_up_once_per_content(self, at: Release) -> None:
        copied = replace(mine(there(FOREIGN)), backed_up=frozenset({digest(FOREIGN)}))
        assert step(copied, at) is Step.UPDATE
        assert step(replace(copied, remote=there(FOREIGN + "# more\n")), at) is Step.BACK_UP


class TestSameContent:
    def test_restored_with_an_empty_line_is_in_sync(self) -> None:
        longer = there(OURS + "\n", kind=Kind.TOOL)
        record = Record(digest=digest(OURS), same=(digest(OURS + "\n"),))
        assert step(mine(longer, record=record), OLD) is Step.IN_SYNC
        assert step(mine(longer, record=Record(digest=digest(PUT), same=record.same)), OLD) is not Step.IN_SYNC


class TestRefusal:
    @RELEASES
    def test_that_harmed_nothing_is_the_end(self, at: Release) -> None:
        assert step(mine(there(PUT), intent=update(), refusal=REFUSED), at) is Step.REJECT

    @HARMING
    def test_that_switched_a_function_off_is_undone_first(self, at: Release) -> None:
        refused = mine(there(PUT, active=False), intent=update(), refusal=REFUSED)
        assert step(refused, at) is Step.SWITCH_ACTIVE
        assert step(replace(refused, remote=there(PUT)), at) is Step.REJECT
        assert step(replace(refused, intent=update(active=False)), at) is Step.REJECT

    def test_that_harms_nothing_leaves_the_flags_alone(self) -> None:
        off = mine(there(PUT, active=False), intent=update())
        assert step(replace(off, ours=DEPLOYED), NEW) is Step.UPDATE

    def test_by_an_older_instance_is_undone_too(self) -> None:
        off = mine(there(PUT, active=False), intent=update(), refusal=REFUSED)
        assert step(off, NEW) is Step.SWITCH_ACTIVE
        assert step(replace(off, intent=update(active=False)), NEW) is Step.REJECT

    @HARMING
    def test_of_a_tool_restores_the_old_code_once(self, at: Release) -> None:
        refused = mine(there(PUT, kind=Kind.TOOL), intent=TOOL_UPDATE, refusal=REFUSED)
        assert step(refused, at) is Step.PUT_BACK
        assert step(replace(refused, put_back=True), at) is Step.REJECT
        assert step(refused, NEW) is Step.REJECT

    @HARMING
    def test_is_undone_for_an_unsendable_file(self, at: Release) -> None:
        assert step(mine(there(PUT, active=False), sendable=False, intent=update()), at) is Step.SWITCH_ACTIVE
        assert step(mine(there(PUT, kind=Kind.TOOL), sendable=False, intent=TOOL_UPDATE), at) is Step.PUT_BACK
        assert step(mine(there(PUT), sendable=False, intent=update()), at) is Step.REJECT


@RELEASES
class TestFlags:
    def test_of_a_new_function_are_set(self, at: Release) -> None:
        wanted = create(is_global=True)
        assert step(mine(there(OURS, active=False), intent=wanted), at) is Step.SWITCH_ACTIVE
        assert step(mine(there(OURS, is_global=False), intent=wanted), at) is Step.SWITCH_GLOBAL
        assert step(mine(there(OURS, is_global=True), intent=wanted), at) is Step.IN_SYNC

    def test_of_a_new_function_may_stay_off(self, at: Release) -> None:
        assert step(mine(there(OURS, active=True), intent=create(active=False)), at) is Step.SWITCH_ACTIVE
        assert step(mine(there(OURS, active=False), intent=create(active=False)), at) is Step.IN_SYNC

    def test_of_an_unfinished_create_come_before_content(self, at: Release) -> None:
        assert step(mine(there(PUT, active=False), intent=create(sent=PUT)), at) is Step.SWITCH_ACTIVE
        assert step(mine(there(PUT), intent=create(sent=PUT)), at) is Step.UPDATE

    @pytest.mark.parametrize("content", [OURS, PUT])
    def test_that_we_switched_off_return_with_the_file(self, at: Release, content: str) -> None:
        off = mine(there(content, active=False), record=Record(disabled=True), ours=frozenset({digest(content)}))
        assert step(off, at) is Step.SWITCH_ACTIVE
        assert step(replace(off, plugin=None), at) is Step.REJECT

    def test_that_we_cleared_stay_off_if_created_off(self, at: Release) -> None:
        off = mine(there(OURS, active=False), record=Record(disabled=True), intent=create(active=False))
        assert step(off, at) is Step.IN_SYNC

    def test_that_someone_flipped_stay(self, at: Release) -> None:
        assert step(mine(there(OURS, is_global=True), intent=update(), valves_checked=True), at) is Step.IN_SYNC


class TestValves:
    @HARMING
    def test_are_checked_where_the_server_does_not(self, at: Release) -> None:
        sent = mine(there(OURS), intent=update())
        assert step(sent, at) is Step.CHECK_VALVES
        assert step(replace(sent, valves_checked=True), at) is Step.IN_SYNC
        assert step(replace(sent, intent=create()), at) is Step.IN_SYNC
        assert step(sent, NEW) is Step.IN_SYNC

    @HARMING
    @pytest.mark.parametrize("kind", [Kind.FILTER, Kind.TOOL])
    def test_that_do_not_fit_restore_the_old_code(self, at: Release, kind: Kind) -> None:
        begun = TOOL_UPDATE if kind is Kind.TOOL else update()
        unfit = mine(there(OURS, kind=kind), intent=begun, valves_checked=True, refusal=Refused("incompatible"))
        assert step(unfit, at) is Step.PUT_BACK
        assert step(replace(unfit, remote=there(PUT, kind=kind), put_back=True), at) is Step.REJECT


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


FINAL = {Step.IN_SYNC, Step.REJECT, Step.REFUSE_FOREIGN}


def carry_out(
    server: Server, progress: Progress, on_foreign: OnForeign, want: tuple[bool, bool]
) -> tuple[list[Step], Progress]:
    """Do what the plan says until it has an end, as the reconciler does."""
    first = server.content
    progress = replace(progress, remote=server.look())
    if progress.holds_what_was_sent:
        progress = replace(progress, valves_checked=True)
    steps: list[Step] = []
    while not steps or steps[-1] not in FINAL:
        assert len(steps) < 12, steps
        progress = replace(progress, remote=server.look())
        remote = progress.remote
        steps.append(plan(progress, server.at, on_foreign, now=0.0))
        match steps[-1]:
            case Step.CREATE:
                assert remote is None
                flags = (None, None) if server.kind is Kind.TOOL else want
                progress = replace(progress, intent=create(*flags), refusal=None)
                if refusal := server.create(OURS):
                    progress = replace(progress, refusal=refusal, refused_create=True)
            case Step.UPDATE:
                assert remote is not None
                begun = update(remote.active, remote.is_global)
                progress = replace(progress, intent=begun, refusal=server.update(OURS))
            case Step.BACK_UP:
                server.backups.append(server.content or "")
                progress = replace(progress, backed_up=progress.backed_up | {digest(server.content or "")})
            case Step.SWITCH_ACTIVE:
                server.active = not server.active
            case Step.SWITCH_GLOBAL:
                server.is_global = not server.is_global
            case Step.CHECK_VALVES:
                refusal = None if server.valves_fit else Refused("Current Valves are incompatible")
                progress = replace(progress, valves_checked=True, refusal=refusal)
            case Step.PUT_BACK:
                assert first is not None
                assert server.update(first) is None
                progress = replace(progress, put_back=True)
            case Step.ASK_WHY:
                progress = replace(progress, refusal=server.update(OURS), asked_why=True)
            case final:
                assert final in FINAL
    return steps, progress


@dataclass(frozen=True)
class State:
    """Where a reconcile begins: perhaps after another one that was killed (``begun``)."""

    at: Release
    kind: Kind
    content: str | None
    active: bool
    is_global: bool
    accepts: bool
    valves_fit: bool
    begun: Intent | None
    put: str | None
    disabled_by_us: bool
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


class TestEveryState:
    @settings(max_examples=4 * EXAMPLES)
    @given(KINDS.flatmap(states))
    def test_ends_with_a_sound_server(self, state: State) -> None:
        server = state.server()
        if state.may_run_refused_code:
            server.runs = "what was refused when owui-watch was killed"
        begun = Progress(
            ours(state.kind).key,
            ours(state.kind) if state.sendable else None,
            intent=state.begun,
            ours=frozenset({state.put} if state.put else set()),
            record=Record(disabled=state.disabled_by_us),
        )
        steps, progress = carry_out(server, begun, state.on_foreign, state.wanted)
        event(steps[-1].name)
        check_the_end(state, server, steps)
        check_what_is_never_done(state, server, steps)
        if steps[-1] is not Step.REFUSE_FOREIGN:
            assert server.runs == server.content
            if state.kind is not Kind.TOOL and server.content is not None:
                check_the_flags(state, server, progress.intent)


def check_the_end(state: State, server: Server, steps: list[Step]) -> None:
    if steps[-1] is Step.IN_SYNC:
        assert digest(server.content or "") == digest(OURS)
        return
    assert server.content == state.content
    if steps[-1] is Step.REJECT:
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
    if (state.disabled_by_us and state.sendable) or (final is not None and final.active and state.at.refusal_harms):
        assert server.active
    elif not state.at.refusal_harms and not begun_fresh:
        assert server.active == state.active

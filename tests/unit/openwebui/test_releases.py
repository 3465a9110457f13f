"""What differs from release to release."""

from __future__ import annotations

import pytest

from owui_watch.openwebui.releases import Sharing, is_older, release, version_number


class TestRelease:
    @pytest.mark.parametrize(
        ("version", "sharing", "harms", "events", "newest"),
        [
            ("0.3.35", Sharing.NONE, True, False, False),
            ("0.4.0", Sharing.CONTROL, True, False, False),
            ("0.7.2", Sharing.CONTROL, True, False, False),
            ("0.8.0", Sharing.GRANTS, True, False, False),
            ("0.9.6", Sharing.GRANTS, True, False, False),
            ("0.10.0", Sharing.GRANTS, True, True, False),
            ("0.11.4", Sharing.GRANTS, True, True, False),
            ("0.12.0", Sharing.GRANTS, False, True, True),
            ("v0.12.4-dev", Sharing.GRANTS, False, True, True),
            ("1.0", Sharing.GRANTS, False, True, True),
        ],
    )
    def test_behaviour_by_version(
        self, version: str, sharing: Sharing, harms: bool, events: bool, newest: bool
    ) -> None:
        found = release(version)
        assert (found.version, found.sharing) == (version, sharing)
        assert (found.refusal_harms, found.events) == (harms, events)
        assert (found.update_tells_why, found.history) == (newest, newest)


class TestVersionNumber:
    @pytest.mark.parametrize(
        ("text", "number"),
        [("1.2.3", (1, 2, 3)), (" v1.2.3-rc1", (1, 2, 3)), ("1.", (1,)), ("", ()), ("next", ()), ("9" * 9999, None)],
    )
    def test_number_in_front_of_a_text(self, text: str, number: tuple[int, ...] | None) -> None:
        found = version_number(text)
        assert found == number if number is not None else len(found) == 1

    @pytest.mark.parametrize(
        ("version", "than", "expected"),
        [
            ("1.2.8", "1.2.9", True),
            ("1.2.9", "1.2.10", True),
            ("1.2", "1.2.1", True),
            ("1.2", "1.2.0", False),
            ("1.2.0", "1.2", False),
            ("1.3", "1.2.9", False),
            ("0", "0.1", True),
            ("", "1.0", False),
            ("draft", "1.0", False),
            ("1.0", "", False),
        ],
    )
    def test_older_by_number(self, version: str, than: str, expected: bool) -> None:
        assert is_older(version, than) is expected
        assert not (expected and is_older(than, version))

"""What the state machine found, or what was found beside it, each as the shortest story that tells it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.server import Server
from tests.resilience.model import Story


@pytest.fixture
def story(server: Server, tmp_path: Path) -> Iterator[Story]:
    """A story on the real server; it ends with a rest."""
    story = Story(tmp_path, server)
    try:
        story.start()
        yield story
    finally:
        story.end()


def test_an_edit_after_a_broken_save_is_backed_up_by_the_good_save_that_follows(story: Story) -> None:
    story.save("notes")
    story.rest()
    story.save("notes", "broken")
    story.rest()
    story.edit("notes")
    story.save("notes")

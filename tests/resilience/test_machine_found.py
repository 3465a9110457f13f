"""What the state machine found, each as the shortest story that tells it."""

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


@pytest.mark.parametrize("first", ["broken", "deleted"])
def test_edit_after_a_failed_save_is_backed_up(first: str, story: Story) -> None:
    """The look at the server that the first save had begun was taken for the second one's, up to 2 s later."""
    story.save("notes")
    story.rest()
    if first == "broken":
        story.save("notes", "broken")
    else:
        story.delete("notes")
    story.rest()
    story.edit("notes")
    story.save("notes")

"""Videos to score."""

import shutil

import pytest


@pytest.fixture
def videos(folder_of_clips, tmp_path):
    """A folder of six videos with captions, free to change."""
    folder = tmp_path / "videos"
    shutil.copytree(folder_of_clips, folder)
    return folder

import pytest

from tqd_probe.core.errors import InputError
from tqd_probe.probing.encoding import DEFAULT_CLIPS, choose_clips
from tqd_probe.probing.settings import ProbeRunSettings


def choose(at_most=None, **options):
    return choose_clips(ProbeRunSettings(ckpt="tiny", **options), at_most)[0]


def test_a_pilot_takes_what_there_is(folder_of_clips, manifest):
    """Fewer clips than a pilot would take are no fault: `--plan` must not refuse."""
    few = {"clips": str(folder_of_clips), "least_clips": 4}
    assert len(choose(32, **few).golden) == 6
    assert len(choose(4, **few).golden) == 4
    assert len(choose(32, clips="synthetic:10").golden) == 10
    assert len(choose(32).golden) == 32
    assert len(choose().golden) == DEFAULT_CLIPS
    assert len(choose(32, num_clips=8).golden) == 8


def test_clips_that_are_asked_for_must_be_there(folder_of_clips):
    with pytest.raises(InputError, match="9 golden clips asked for, 6 present"):
        choose(clips=str(folder_of_clips), num_clips=9)
    with pytest.raises(
        InputError, match=r"6 golden clips, at least 8 .* --least-clips"
    ):
        choose(clips=str(folder_of_clips))
    with pytest.raises(InputError, match="3 golden clips, at least 4 are needed"):
        choose(clips="synthetic:3", least_clips=4)
    with pytest.raises(InputError, match="nothing to compare"):
        choose(degradations="none")

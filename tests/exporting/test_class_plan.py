import numpy as np
import pytest
from export_cases import export_case

from tqd_probe.core.errors import InputError
from tqd_probe.exporting.class_plan import clips_by_class, plan_classes
from tqd_probe.exporting.level_distribution import uniform
from tqd_probe.sampling.base_density import BaseDensity
from tqd_probe.sampling.clip_pool import ClipPool
from tqd_probe.sampling.draw_stream import DrawStream
from tqd_probe.sampling.registry import make_sampler
from tqd_probe.schedules.band_schedule import BandSchedule

PLACES = np.linspace(0, 1, 41)


def planned(case, base, ends=(0.0, 1.0)):
    schedule = BandSchedule.load(case.bands)
    clips = clips_by_class(case.clips, schedule)
    return schedule, *plan_classes(clips, schedule, base, ends)


@pytest.mark.parametrize("ends", [(0.0, 1.0), (0.0, 0.875), (0.875, 1.0)])
@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_what_is_wanted_is_what_our_own_sampler_draws(tmp_path, shift, ends):
    case = export_case(tmp_path)
    schedule, plans, left_out = planned(case, uniform().shifted(shift), ends)
    sampler = make_sampler("bands", schedule=schedule, shift=shift, sigma_range=ends)
    classes = ["golden"] * 4 + ["visual_degraded"] * 3 + ["motion_degraded"] * 2
    clips = ClipPool.of([name for name in classes if name not in left_out])
    stream = DrawStream(sampler, clips, seed=0)
    assert left_out == (["motion_degraded"] if ends[0] else [])
    for plan in plans:
        own = clips.classes == plan.name
        assert plan.share == pytest.approx(stream.clip_shares[own].sum())
        wanted = sampler.cumulative(PLACES, clips.take(np.flatnonzero(own)[:1]))[0]
        assert plan.wanted.cdf(PLACES) == pytest.approx(wanted, abs=1e-9)
        assert sum(plan.parts) == pytest.approx(1.0)


def test_parts_of_a_class_are_those_of_the_base_density(tmp_path):
    _, plans, _ = planned(export_case(tmp_path), uniform())
    motion = plans[2]
    assert motion.bands == [(0.0, 0.25), (0.4, 0.6)]
    assert motion.parts == pytest.approx([0.25 / 0.45, 0.2 / 0.45])
    base = BaseDensity(shift=5.0)
    _, plans, _ = planned(export_case(tmp_path), uniform().shifted(5.0))
    masses = np.diff(base.cdf(np.array(motion.bands)), axis=1)[:, 0]
    assert plans[2].parts == pytest.approx(list(masses / masses.sum()))


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("x.mp4,a caption,", "x.mp4: has no class"),
        ("x.mp4,a caption,both_degraded", "both_degraded was not measured"),
        ("none.mp4,a caption,golden", "none.mp4: no such file"),
    ],
)
def test_clips_that_cannot_be_trained_are_refused(tmp_path, row, fault):
    case = export_case(tmp_path)
    (tmp_path / "x.mp4").write_bytes(b"")
    case.clips.write_text(case.clips.read_text() + row + "\n")
    with pytest.raises(InputError, match=fault):
        clips_by_class(case.clips, BandSchedule.load(case.bands))


def test_repeats_weigh_the_clips(tmp_path):
    case = export_case(tmp_path, counts={"golden": 1, "visual_degraded": 1})
    head, golden, visual = case.clips.read_text().splitlines()
    case.clips.write_text(f"{head},repeats\n{golden},1\n{visual},9\n")
    _, plans, _ = planned(case, uniform())
    assert [plan.share for plan in plans] == pytest.approx([0.1, 0.9])


def test_a_schedule_without_bands_is_refused(tmp_path):
    case = export_case(tmp_path, {"visual_degraded": []}, {"visual_degraded": 2})
    with pytest.raises(InputError, match="no class of the clips has a band"):
        planned(case, uniform())

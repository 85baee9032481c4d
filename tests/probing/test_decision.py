"""What a probe says to do."""

import shlex

import pytest

from tqd_probe.core.command_line import parse
from tqd_probe.probing.decision import command_in, decide
from tqd_probe.probing.derive_schedule import derive_schedule
from tqd_probe.probing.result import ProbeResult
from tqd_probe.probing.summary import summary_table
from tqd_probe.train import TrainOptions
from tqd_probe.verify import VerifyOptions


@pytest.fixture
def probed(probe_run):
    """A result whose classes are in use at the two upper of three levels, and none."""
    result = ProbeResult.load(probe_run / "gradsim.json")
    result.criterion.metric = "adam"
    result.golden.resolved = [True, True, True]
    for name, cosines in {
        "blur:4": (0.5, 0.95, 1.0),
        "freeze:5": (0.92, 0.5, 0.5),
    }.items():
        curves = result.subjects[name]
        curves.cosine = list(cosines)
        curves.cosine_ci = [(value - 0.01, value + 0.01) for value in cosines]
        curves.norm_ratio, curves.norm_ratio_ci = [1.0] * 3, [(0.9, 1.1)] * 3
    return result


def test_classes_are_expected_to_bring_what_their_cosines_promise(probed):
    found = decide(probed, derive_schedule(probed))
    visual = found.classes["visual_degraded"]
    # (0.75 + 1.00) / 2 by the table of `expected_gain`, at the levels 0.5 and 0.9
    assert visual.expected.share == pytest.approx(0.875)
    assert visual.expected.low == pytest.approx((0.2 + 0.99) / 2)
    assert visual.expected.high == pytest.approx(1.09, abs=1e-3)
    motion = found.classes["motion_degraded"]
    assert motion.expected.share == pytest.approx(0.64 + 0.8 * 0.04, abs=1e-3)
    assert motion.avoid[-1][1] == pytest.approx(1.0)
    both = found.classes["both_degraded"]
    assert (both.status, both.use, both.avoid, both.expected) == (
        "unmeasured",
        [],
        [],
        None,
    )
    assert "394 pairs" in found.calibration


def test_another_metric_has_no_calibration(probed):
    probed.criterion.metric = "raw"
    found = decide(probed, derive_schedule(probed))
    assert found.calibration is None
    assert all(each.expected is None for each in found.classes.values())


def test_commands_come_with_their_work(probed):
    found = decide(probed, derive_schedule(probed))
    verify, train = found.next
    assert verify.command.startswith("tqd-probe verify --ckpt ")
    compared = "uniform,measured=RUN/bands.json,bands=RUN/bands.json"
    assert f"--samplers {compared} --base measured --out" in verify.command
    assert verify.clip_gradients == 3 * 5 * 200 * 8
    assert "--schedule RUN/bands.json --base measured --steps 2000" in train.command
    assert train.clip_gradients == 2000 * 8
    schedule = derive_schedule(probed).model_copy(update={"golden_density": None})
    verify, train = decide(probed, schedule).next
    assert "--samplers uniform,bands=RUN/bands.json --out" in verify.command
    assert verify.clip_gradients == 2 * 5 * 200 * 8
    assert "--base" not in verify.command + train.command


def test_without_bands_the_density_alone_is_tried(probed):
    for curves in probed.subjects.values():
        curves.cosine_ci = [(0.1, 0.2)] * 3
        curves.cosine = [0.15] * 3
    schedule = derive_schedule(probed)
    verify, train = decide(probed, schedule).next
    assert verify.purpose.startswith("no class may be used; does its density")
    assert "--samplers uniform,measured=RUN/bands.json --out" in verify.command
    assert verify.clip_gradients == 2 * 5 * 200 * 8
    assert "--schedule RUN/bands.json --sampler measured --steps" in train.command
    assert "--base" not in verify.command + train.command
    schedule = schedule.model_copy(update={"golden_density": None})
    assert decide(probed, schedule).next == []


def test_commands_load_the_model_that_was_probed(probed):
    settings = probed.provenance.settings
    settings |= {"ckpt": "my RUN/wan", "lora": "a.safetensors", "lora_alpha": 8.0}
    settings |= {"quantise": "nf4", "dtype": "bf16", "offload": True}
    verify, train = (
        shlex.split(command_in("my run", step))
        for step in decide(probed, derive_schedule(probed)).next
    )
    schedule = "my run/bands.json"
    assert f"uniform,measured={schedule},bands={schedule}" in verify
    assert schedule == train[train.index("--schedule") + 1]
    for words, of in ((verify, VerifyOptions), (train, TrainOptions)):
        found = parse(of, words[2:], words[1])
        assert (found.ckpt, found.init_lora) == ("my RUN/wan", "a.safetensors")
        assert (found.lora_alpha, found.quantise) == (8, "nf4")
        assert (found.dtype, found.offload) == ("bf16", True)
        assert str(found.out) == f"my run-{words[1]}"


def test_a_narrow_band_is_a_warning(probed):
    schedule = derive_schedule(probed)
    schedule.classes["motion_degraded"].bands = [(0.0, 0.1)]
    (warning,) = decide(probed, schedule).warnings
    assert warning.startswith("motion_degraded: ")
    assert "fall on 10% of the noise axis; --order level" in warning


def test_the_closing_lines_name_the_run_and_the_minutes(probed):
    schedule = derive_schedule(probed)
    assert "next:" not in summary_table(probed, schedule)
    probed.decision = decide(probed, schedule)
    text = summary_table(probed, schedule, "runs/my probe", seconds=0.06)
    assert "(16,000 clip-gradients, about 16 min)" in text
    assert "--schedule 'runs/my probe'/bands.json" in text
    assert "RUN" not in text
    assert "visual_degraded: expected to bring 0.88 [0.59, 1.09]" in text
    quick = summary_table(probed, schedule, "run", seconds=0.001)
    assert "(16,000 clip-gradients, under a minute)" in quick

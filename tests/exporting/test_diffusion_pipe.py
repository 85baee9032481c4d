import numpy as np
import pytest
import trainer_rules
from trainer_rules import CLOSE, DRAWS, distance, shifted

from tqd_probe.core.errors import InputError
from tqd_probe.exporting.diffusion_pipe import DiffusionPipe
from tqd_probe.exporting.trainer_format import VideoShape

# examples/wan_14b_min_vram.toml of diffusion-pipe, shortened
EXAMPLE = """output_dir = '/data/diffusion_pipe_training_runs/tmp'
dataset = 'dataset.toml'
epochs = 1000
{top}

[model]
type = '{type}'
ckpt_path = '/data2/imagegen_models/Wan2.1-T2V-14B'
dtype = 'bfloat16'
{model}

[adapter]
type = 'lora'
rank = 32
dtype = 'bfloat16'
{adapter}
"""


def written(tmp_path, top="", adapter="", kind="wan", **model):
    path = tmp_path / "train.toml"
    lines = "\n".join(f"{k} = {v!r}".replace("True", "true") for k, v in model.items())
    path.write_text(EXAMPLE.format(type=kind, model=lines, top=top, adapter=adapter))
    return path


def preview(path, shape=None):
    return DiffusionPipe().preview(path, shape)


@pytest.mark.parametrize("shift", [1, 3.0, 5.0])
@pytest.mark.parametrize("method", ["logit_normal", "uniform"])
@pytest.mark.parametrize("ends", [(0.0, 1.0), (0.0, 0.875), (0.875, 1.0), (0.6, 0.9)])
def test_draws_by_the_published_rule_have_this_density(tmp_path, shift, method, ends):
    model = {
        "shift": shift,
        "timestep_sample_method": method,
        "min_t": ends[0],
        "max_t": ends[1],
    }
    (trained,) = preview(written(tmp_path, **model)).trained
    draws = trainer_rules.diffusion_pipe_wan(np.random.default_rng(3), **model)
    assert distance(draws, trained.levels) < CLOSE
    assert trained.levels.mass([ends]) == pytest.approx(1.0)


def test_other_families_draw_afresh_and_read_no_range(tmp_path):
    path = written(tmp_path, kind="hunyuan-video", shift=7, min_t=0.6, max_t=0.9)
    found = preview(path)
    rng = np.random.default_rng(0)
    draws = shifted(1 / (1 + np.exp(-rng.normal(size=DRAWS))), 7)
    assert distance(draws, found.trained[0].levels) < CLOSE
    assert [trap.split(":")[0] for trap in found.traps] == ["min_t", "max_t"]
    assert "ignored by model type hunyuan-video" in found.traps[0]


def test_ltx_video_reads_no_shift(tmp_path):
    found = preview(written(tmp_path, kind="ltx-video", shift=3))
    assert found.trained[0].levels.cdf(0.5) == pytest.approx(0.5)
    assert found.traps == ["shift: ignored by model type ltx-video; leave it out"]


@pytest.mark.parametrize("place", ["top", "adapter"])
def test_a_range_in_the_wrong_block_is_ignored(tmp_path, place):
    found = preview(written(tmp_path, **{place: "min_t = 0.6\nmax_t = 0.9"}))
    assert found.trained[0].levels.cdf(0.5) == pytest.approx(0.5, abs=1e-3)
    where = {"top": "the top level", "adapter": "[adapter]"}[place]
    assert found.traps == [
        f"{key}: ignored in {where}; move it to [model]" for key in ("min_t", "max_t")
    ]


def test_a_shift_by_resolution_needs_the_size(tmp_path):
    path = written(tmp_path, flux_shift=True)
    tokens = (480 // 16) * (832 // 16)
    shift = np.exp(0.5 + 0.65 / 3840 * (tokens - 256))
    levels = preview(path, VideoShape(17, 480, 832)).trained[0].levels
    assert levels.cdf(shift / (1 + shift)) == pytest.approx(0.5, abs=1e-3)
    with pytest.raises(InputError, match="depends on the size"):
        preview(path)


def test_the_networks_of_wan_22_are_told_apart(tmp_path):
    path = written(tmp_path, transformer_path="/models/Wan2.2/low_noise_model")
    found = preview(path)
    assert found.trained[0].expert == "low"
    assert "trained at all levels" in found.notes[0]
    path = written(tmp_path, transformer_path="/m/high_noise_model", min_t=0.875)
    assert (preview(path).trained[0].expert, preview(path).notes) == ("high", [])


@pytest.mark.parametrize(
    ("model", "fault"),
    [
        ({"min_t": 600, "max_t": 900}, "they are sigma, 0 to 1"),
        ({"timestep_sample_method": "beta"}, "use logit_normal or uniform"),
        ({"kind": "sdxl"}, "levels are known of the video families"),
    ],
)
def test_what_cannot_be_trained_is_refused(tmp_path, model, fault):
    with pytest.raises(InputError, match=fault):
        preview(written(tmp_path, **model))


def test_it_is_recognised(tmp_path):
    assert DiffusionPipe().recognises(written(tmp_path))
    other = tmp_path / "dataset.toml"
    other.write_text("resolutions = [512]\n[[directory]]\npath = 'x'\n")
    assert not DiffusionPipe().recognises(other)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", ["wan", "hunyuan-video"])
@pytest.mark.parametrize("scale", [1e-300, 1e-9, 1e9, 1e300])
def test_extreme_scales_have_a_density_and_no_warning(tmp_path, kind, scale):
    (trained,) = preview(written(tmp_path, kind=kind, sigmoid_scale=scale)).trained
    middle = trained.levels.mass([(0.49, 0.51)])
    assert middle == pytest.approx(1.0 if scale < 1 else 0.0, abs=1e-6)


@pytest.mark.parametrize("scale", [0, -1.0, "wide", True, [1], 10**400])
def test_a_scale_that_is_none_is_one_line(tmp_path, scale):
    with pytest.raises(InputError, match=r"train.toml: sigmoid_scale: ") as error:
        preview(written(tmp_path, sigmoid_scale=scale))
    assert "\n" not in str(error.value)

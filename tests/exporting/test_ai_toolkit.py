import numpy as np
import pytest
import trainer_rules
from scipy.special import expit
from trainer_rules import CLOSE, distance

from tqd_probe.core.errors import InputError
from tqd_probe.exporting.ai_toolkit import AiToolkit

# config/examples/train_lora_wan21_1b_24gb.yaml of ai-toolkit, shortened
EXAMPLE = """---
job: extension
config:
  name: "my_first_lora"
  process:
    - type: 'sd_trainer'
      training_folder: "output"
      datasets:
        - folder_path: "/path/to/images/folder"
          caption_ext: "txt"
      train:
        steps: 2000
        noise_scheduler: "{scheduler}"
        lr: 1e-4
{train}
      model:
        name_or_path: "Wan-AI/x"
        arch: '{arch}'
{model}
"""


def preview(tmp_path, arch="wan21", model="", scheduler="flowmatch", **train):
    lines = "\n".join(f"        {key}: {value}" for key, value in train.items())
    path = tmp_path / "lora.yaml"
    path.write_text(
        EXAMPLE.format(train=lines, arch=arch, model=model, scheduler=scheduler)
    )
    assert AiToolkit().recognises(path)
    return AiToolkit().preview(path, None)


RANGES = [(0, 999), (0, 125), (100, 400), (125, 1000)]


@pytest.mark.parametrize("ends", RANGES)
@pytest.mark.parametrize("kind", ["linear", "shift"])
def test_draws_by_the_published_rule_have_this_density(tmp_path, ends, kind):
    found = preview(
        tmp_path,
        timestep_type=kind,
        min_denoising_steps=ends[0],
        max_denoising_steps=ends[1],
    )
    draws = trainer_rules.ai_toolkit(np.random.default_rng(1), *ends, kind)
    assert distance(draws, found.trained[0].levels) < CLOSE
    assert found.traps == []


@pytest.mark.parametrize("ends", [(0, 999), (700, 900)])
def test_ranks_of_lists_that_are_drawn_anew(tmp_path, ends):
    found = preview(tmp_path, min_denoising_steps=ends[0], max_denoising_steps=ends[1])
    rng = np.random.default_rng(1)
    draws = trainer_rules.ai_toolkit(rng, *ends, batches=1500)
    assert distance(draws, found.trained[0].levels) < 1.7 / 1500**0.5
    assert "ranks of a list drawn anew" in found.traps[0]


def test_linear_indices_are_levels_and_the_upper_end_is_left_out(tmp_path):
    found = preview(
        tmp_path,
        timestep_type="linear",
        min_denoising_steps=100,
        max_denoising_steps=400,
    )
    levels = found.trained[0].levels
    assert (levels.points.min(), levels.points.max()) == pytest.approx((0.601, 0.9))
    assert len(levels.points) == 300


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("", {"high": (0.877, 1.0), "low": (0.002, 0.875)}),
        (
            "        model_kwargs:\n          train_low_noise: false",
            {"high": (0.877, 1.0)},
        ),
    ],
)
def test_ranges_are_overwritten_for_wan_22_14b(tmp_path, model, expected):
    found = preview(
        tmp_path,
        arch="wan22_14b",
        model=model,
        timestep_type="linear",
        min_denoising_steps=500,
    )
    ends = {
        each.expert: (each.levels.points.min(), each.levels.points.max())
        for each in found.trained
    }
    assert ends == {name: pytest.approx(pair) for name, pair in expected.items()}
    assert all(each.share == 1 / len(expected) for each in found.trained)
    assert found.traps[0].startswith("min_denoising_steps: overwritten for Wan 2.2 14B")


def test_favoured_ends_and_few_steps(tmp_path):
    found = preview(tmp_path, timestep_type="linear", content_or_style="content")
    rng = np.random.default_rng(0)
    index = rng.random(20_000) ** 3 * 1000 * 999 / 999
    draws = np.linspace(1000, 1, 1000)[np.clip(index.astype(int), 0, 999)] / 1000
    assert distance(draws, found.trained[0].levels) < CLOSE
    found = preview(tmp_path, timestep_type="four_step", max_denoising_steps=400)
    assert found.trained[0].levels.points == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert "ignored by timestep_type four_step" in found.traps[0]


def test_a_blend_is_drawn_with_a_seed(tmp_path):
    one = preview(tmp_path, timestep_type="lognorm_blend").trained[0].levels
    rng = np.random.default_rng(9)
    t = np.exp(rng.normal(0, 0.333, (100, 750)))
    t = np.concatenate(
        [
            (1 - t / t.max(1, keepdims=True)) * 1000,
            np.tile(np.linspace(1000, 1, 250), (100, 1)),
        ],
        axis=1,
    )
    draws = (np.sort(t, 1)[:, 1:].astype(int) / 1000).ravel()  # never the lowest one
    assert distance(draws, one) < 0.02


def test_what_is_not_known_is_refused(tmp_path):
    with pytest.raises(InputError, match="timestep_type: shift: that of ltx2"):
        preview(tmp_path, arch="ltx2", timestep_type="shift")
    with pytest.raises(InputError, match="'next_sample': its levels are not known"):
        preview(tmp_path, timestep_type="next_sample")
    with pytest.raises(InputError, match="levels are known of flowmatch"):
        preview(tmp_path, scheduler="ddpm")
    with pytest.raises(InputError, match="is above max_denoising_steps"):
        preview(tmp_path, timestep_type="linear", min_denoising_steps=1200)


def test_the_default_is_close_to_a_logit_normal(tmp_path):
    found = preview(tmp_path)
    assert found.traps == ["timestep_type: not set, and its default is sigmoid"]
    rng = np.random.default_rng(4)
    assert distance(expit(rng.normal(size=20_000)), found.trained[0].levels) < CLOSE


@pytest.mark.parametrize("kind", ["sigmoid", "shift", "linear"])
@pytest.mark.parametrize("arch", ["wan22_14b", "wan22_14b:t2v"])
def test_other_lists_cross_the_boundary_elsewhere(tmp_path, kind, arch):
    # BaseSDTrainProcess.py (27a03a9), is_multistage: the range of a network is where
    # the list of the step crosses 875. A tag behind the name of the architecture, as
    # the trainer's pages write it, is taken off (config_modules.py, ModelConfig).
    high, low = preview(tmp_path, arch, timestep_type=kind).trained
    assert (high.expert, low.expert) == ("high", "low")
    rng = np.random.default_rng(8)
    count = 4000
    for trained, index in ((high, 0), (low, 1)):
        draws = trainer_rules.ai_toolkit_stages(rng, index, kind, count)
        assert distance(draws, trained.levels) < 1.7 / count**0.5
    assert high.levels.mass([(0.875, 1.0)]) == pytest.approx(1)


def test_other_lengths_of_the_list_are_refused(tmp_path):
    with pytest.raises(InputError, match="num_train_timesteps: levels are known of"):
        preview(tmp_path, num_train_timesteps=500)


@pytest.mark.parametrize(("arch", "shift"), [("wan21_i2v", 3.0), ("wan22_5b", 5.0)])
@pytest.mark.parametrize("kind", ["shift", "flux_shift"])
def test_the_list_of_shift_is_that_of_the_models_scheduler(tmp_path, arch, shift, kind):
    found = preview(tmp_path, arch, timestep_type=kind).trained[0].levels
    first = trainer_rules.shifted(1.0, shift)
    second = trainer_rules.shifted(1 - (1 - 0.001) / 999, shift)
    assert found.points[-1] == pytest.approx(first)
    assert found.points[-2] == pytest.approx(second, abs=2e-4)


def test_folders_whose_videos_are_not_read_are_named(tmp_path):
    # toolkit/data_loader.py (27a03a9): num_frames is 1, and then images alone are read
    folder = tmp_path / "clips"
    folder.mkdir()
    (folder / "a.mp4").write_bytes(b"")
    preview(tmp_path, timestep_type="linear")
    path = tmp_path / "lora.yaml"
    text = path.read_text().replace("/path/to/images/folder", str(folder))
    path.write_text(text)
    (trap,) = AiToolkit().preview(path, None).traps
    assert trap.startswith(f"datasets: {folder}: num_frames is 1")
    for read in ("num_frames: 33", "auto_frame_count: true"):
        path.write_text(
            text.replace("caption_ext: ", f"{read}\n          caption_ext: ")
        )
        assert AiToolkit().preview(path, None).traps == []

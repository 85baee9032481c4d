import numpy as np
import pytest
import trainer_rules
from trainer_rules import CLOSE, distance

from tqd_probe.core.errors import InputError
from tqd_probe.exporting.musubi import Musubi
from tqd_probe.exporting.trainer_format import VideoShape

# docs/wan.md of musubi-tuner, shortened
SCRIPT = """accelerate launch --num_cpu_threads_per_process 1 --mixed_precision bf16 \\
    src/musubi_tuner/wan_train_network.py --task t2v-1.3B --dit path/to/dit \\
    --dataset_config path/to/toml --sdpa --mixed_precision bf16 --fp8_base \\
    --optimizer_type adamw8bit --learning_rate 2e-4 --gradient_checkpointing \\
    --network_module networks.lora_wan --network_dim 32 \\
    {} \\
    --max_train_epochs 16 --output_dir path/to/output_dir --output_name name-of-lora
"""


def launched(tmp_path, options):
    words = " ".join(f"--{k} {'' if v is True else v}" for k, v in options.items())
    path = tmp_path / "train.sh"
    path.write_text(SCRIPT.format(words))
    return Musubi().preview(path, VideoShape(17, 480, 832))


SHIFT = {"timestep_sampling": "shift", "discrete_flow_shift": 3.0}
CASES = [
    {},
    {"min_timestep": 875, "max_timestep": 1000},
    {"weighting_scheme": "logit_normal", "logit_mean": -0.5},
    {"weighting_scheme": "mode"},
    SHIFT,
    {**SHIFT, "discrete_flow_shift": 5.0, "sigmoid_scale": 1.5},
    {**SHIFT, "min_timestep": 600, "max_timestep": 900},
    {
        **SHIFT,
        "min_timestep": 600,
        "max_timestep": 900,
        "preserve_distribution_shape": True,
    },
    {"timestep_sampling": "uniform", "max_timestep": 875},
    {"timestep_sampling": "logsnr", "logit_mean": -2.0, "logit_std": 2.0},
]


@pytest.mark.parametrize("options", CASES, ids=str)
def test_draws_by_the_published_rule_have_this_density(tmp_path, options):
    preview = launched(tmp_path, options)
    (trained,) = preview.trained
    draws = trainer_rules.musubi(np.random.default_rng(1), **options)
    assert distance(draws, trained.levels) < CLOSE
    assert trained.share == 1.0


def test_the_default_mode_turns_a_range_round(tmp_path):
    preview = launched(tmp_path, {"min_timestep": 875, "max_timestep": 1000})
    levels = preview.trained[0].levels
    assert (levels.points.min(), levels.points.max()) == pytest.approx((0.001, 0.125))
    assert "turned round" in preview.traps[0]
    assert "trains sigma 0-0.125" in preview.traps[0]


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"discrete_flow_shift": 5.0}, "discrete_flow_shift: ignored"),
        ({**SHIFT, "min_timestep": 600}, "squeezed"),
        ({"timestep_sampling": "sigmoid", "logit_mean": 1.0}, "logit_mean: ignored"),
        ({"timestep_sampling": "uniform", "discrete_flow_shift": 5.0}, "ignored by"),
        ({**SHIFT, "weighting_scheme": "logit_normal"}, "no density with"),
        ({"preserve_distribution_shape": True}, "ignored by timestep_sampling sigma"),
    ],
)
def test_what_options_do_not_do_is_named(tmp_path, options, word):
    assert word in launched(tmp_path, options).traps[0]


def test_a_sound_configuration_has_no_traps(tmp_path):
    sound = {**SHIFT, "max_timestep": 875, "preserve_distribution_shape": True}
    assert launched(tmp_path, sound).traps == []


def test_two_networks_share_the_draws(tmp_path):
    options = {
        "timestep_sampling": "uniform",
        "task": "t2v-A14B",
        "dit_high_noise": "high.safetensors",
    }
    high, low = launched(tmp_path, options).trained
    assert (high.expert, low.expert) == ("high", "low")
    # the timestep compared is 1000 sigma + 1
    assert high.share == pytest.approx(1 - 0.874)
    assert low.share == pytest.approx(0.874, abs=1e-6)
    assert high.levels.cdf(np.array([0.8739, 0.937])) == pytest.approx([0, 0.5])


def test_a_shift_by_resolution_grows_with_the_clips(tmp_path):
    preview = launched(tmp_path, {"timestep_sampling": "flux_shift"})
    tokens = (480 // 16) * (832 // 16)
    shift = np.exp(0.5 + (1.15 - 0.5) / (4096 - 256) * (tokens - 256))
    assert preview.trained[0].levels.cdf(shift / (1 + shift)) == pytest.approx(0.5)
    path = tmp_path / "train.sh"
    with pytest.raises(InputError, match=r"flux_shift: the shift depends on the size"):
        Musubi().preview(path, None)


def test_a_table_of_settings_is_read_too(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(
        '[timesteps]\ntimestep_sampling = "shift"\ndiscrete_flow_shift = 3.0\n'
        '[network]\nnetwork_module = "networks.lora_wan"\n'
    )
    assert Musubi().recognises(path)
    (trained,) = Musubi().preview(path, None).trained
    assert trained.rule == "logit-normal(0, 1), shift 3"


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"timestep_sampling": "ideogram4_shift"}, "no mode for video"),
        ({"min_timestep": 900, "max_timestep": 600}, "0 <= min < max <= 1000"),
        ({"timestep_sampling": "shift", "discrete_flow_shift": 0}, "must be above 0"),
        ({"min_timestep": "half"}, "min_timestep: 'half' is not a number"),
    ],
)
def test_what_the_trainer_refuses_is_refused(tmp_path, options, fault):
    with pytest.raises(InputError, match=fault):
        launched(tmp_path, options)


def test_data_sets_alone_have_no_levels(tmp_path):
    path = tmp_path / "data.toml"
    path.write_text("[general]\nresolution = [960, 544]\n[[datasets]]\nnum_repeats = 1")
    with pytest.raises(InputError, match="reads no timesteps there"):
        Musubi().preview(path, None)
    path = tmp_path / "other.sh"
    path.write_text("python train.py --lr 1")
    with pytest.raises(InputError, match=r"launches no \*_train_network.py"):
        Musubi().preview(path, None)
    assert not Musubi().recognises(path)


def test_a_script_of_its_own_default_is_seen(tmp_path):
    # ideogram4_train_network.py of musubi-tuner (30c658c) sets timestep_sampling
    path = tmp_path / "train.sh"
    path.write_text("accelerate launch src/x/ideogram4_train_network.py --dit a\n")
    with pytest.raises(InputError, match="'ideogram4_shift' is no mode for video"):
        Musubi().preview(path, None)
    path.write_text(
        path.read_text().replace("--dit", "--timestep_sampling sigma --dit")
    )
    (trained,) = Musubi().preview(path, None).trained
    assert trained.rule.startswith("sigma mode, uniform")
    table = tmp_path / "train.toml"
    table.write_text('dit = "a"\nnetwork_module = "networks.lora_ideogram4"\n')
    with pytest.raises(InputError, match="'ideogram4_shift' is no mode for video"):
        Musubi().preview(table, None)

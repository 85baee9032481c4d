import numpy as np
import pytest
import trainer_rules
import yaml
from export_cases import by_class, export_case
from trainer_rules import distance

from tqd_probe.core.errors import InputError
from tqd_probe.exporting.level_distribution import on_grid
from tqd_probe.exporting.writers.ai_toolkit import indices

CONFIG = """job: extension
config:
  name: "my_lora"
  process:
    - type: 'sd_trainer'
      datasets:
        - folder_path: "/data/clips"
          caption_ext: "txt"
          num_frames: 33
      train:
        steps: 1800
        lr: 1e-4
        noise_scheduler: "flowmatch"
        timestep_type: "{kind}"
{train}
      model:
        arch: '{arch}'
"""


def configuration(folder, kind="linear", train="", arch="wan21"):
    path = folder / "user.yaml"
    path.write_text(CONFIG.format(kind=kind, train=f"        {train}", arch=arch))
    return path


def runs(out, name):
    found = sorted(out.glob(f"[1-9]*-{name}*.yaml"))
    tables = [yaml.safe_load(path.read_text()) for path in found]
    return [table["config"]["process"][0] for table in tables]


@pytest.mark.parametrize(
    ("kind", "close"), [("linear", 0.002), ("shift", 0.003), ("sigmoid", 0.03)]
)
def test_indices_train_each_class_in_its_bands(tmp_path, kind, close):
    done = export_case(tmp_path).export("ai-toolkit", configuration(tmp_path, kind))
    count = 1500 if kind == "sigmoid" else trainer_rules.DRAWS
    for name, each in by_class(done).items():
        parts = []
        for run, share in zip(runs(tmp_path / "out", name), each.plan.parts):
            train = run["train"]
            ends = train["min_denoising_steps"], train["max_denoising_steps"]
            rng = np.random.default_rng(3)
            part = round(count * share)
            parts.append(trainer_rules.ai_toolkit(rng, *ends, kind, part))
        draws = np.concatenate(parts)
        assert distance(draws, each.realised) < 1.7 / count**0.5
        assert each.distance < close, name


def test_indices_count_from_noise_and_leave_the_upper_end_out():
    linear = on_grid(1 - np.arange(999) / 1000)
    assert indices((0.6, 0.9), linear) == (100, 401)  # levels 0.900 to 0.600
    assert indices((0.0, 1.0), linear) == (0, 999)
    assert indices((0.0, 0.25), linear) == (750, 999)


def test_the_chain_has_one_name_and_rising_steps(tmp_path):
    export_case(tmp_path).export("ai-toolkit", configuration(tmp_path))
    out = tmp_path / "out"
    steps, names = [], []
    for path in sorted(out.glob("[1-9]*.yaml")):
        table = yaml.safe_load(path.read_text())["config"]
        names.append(table["name"])
        steps.append(table["process"][0]["train"]["steps"])
    assert names == ["my_lora"] * 4
    motion = 1800 * 2 / 9
    assert steps[1:] == [motion, motion + 600, 1800]
    (visual,) = runs(out, "visual_degraded")
    assert visual["train"]["lr"] == 1e-4
    assert visual["datasets"] == [
        {
            "folder_path": f"{out}/data/visual_degraded",
            "caption_ext": "txt",
            "num_frames": 33,
        }
    ]


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ({"arch": "wan22_14b"}, "overwritten by those of the two networks"),
        ({"train": "min_denoising_steps: 5"}, "bands take their place"),
        ({"kind": "lognorm_blend"}, "has no ranges of levels"),
        ({"train": "content_or_style: style"}, "favours one end of any range"),
    ],
)
def test_what_cannot_carry_bands_is_refused(tmp_path, more, fault):
    with pytest.raises(InputError, match=fault):
        export_case(tmp_path).export("ai-toolkit", configuration(tmp_path, **more))
    assert not (tmp_path / "out").exists()


def test_a_data_set_that_is_no_table_is_refused(tmp_path):
    config = configuration(tmp_path)
    table = yaml.safe_load(config.read_text())
    table["config"]["process"][0]["datasets"] = ["a"]
    config.write_text(yaml.safe_dump(table))
    with pytest.raises(InputError, match=r"user.yaml: datasets: needs one"):
        export_case(tmp_path).export("ai-toolkit", config)


def test_a_data_set_of_images_is_refused(tmp_path):
    config = configuration(tmp_path)
    config.write_text(config.read_text().replace("          num_frames: 33\n", ""))
    with pytest.raises(InputError, match="reads images alone"):
        export_case(tmp_path).export("ai-toolkit", config)


def test_no_other_key_says_where_the_clips_are(tmp_path):
    # toolkit/data_loader.py and config_modules.py (27a03a9): dataset_path is taken
    # before folder_path, and caption_type before caption_ext
    config = configuration(tmp_path)
    more = (
        'caption_ext: "json"\n          dataset_path: "/d"\n          caption_type: j'
    )
    config.write_text(config.read_text().replace('caption_ext: "txt"', more))
    export_case(tmp_path).export("ai-toolkit", config)
    (run,) = runs(tmp_path / "out", "golden")
    assert run["datasets"] == [
        {
            "folder_path": f"{tmp_path}/out/data/golden",
            "caption_ext": "txt",
            "num_frames": 33,
        }
    ]

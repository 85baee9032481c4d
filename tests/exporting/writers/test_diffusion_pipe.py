import os
import subprocess

import numpy as np
import pytest
import trainer_rules
from export_cases import by_class, export_case
from scipy.special import ndtr
from trainer_rules import CLOSE, distance

from tqd_probe.core.errors import InputError
from tqd_probe.core.structured_text import parse_structured

CONFIG = """# my settings
output_dir = '/data/runs'
dataset = 'dataset.toml'
epochs = 100

[model]
type = '{kind}'
ckpt_path = '/data/Wan2.1-T2V-14B'  # here
dtype = 'bfloat16'
{model}

[adapter]
type = 'lora'
rank = 32
{adapter}
"""
DATA = """resolutions = [512]
frame_buckets = [1, 33]

[[directory]]
path = '/data/clips'
num_repeats = 2
"""


def configuration(folder, model="", adapter="", kind="wan"):
    (folder / "dataset.toml").write_text(DATA)
    path = folder / "user.toml"
    path.write_text(CONFIG.format(model=model, adapter=adapter, kind=kind))
    return path


def tables(out, name):
    found = sorted(out.glob(f"[1-9]*-{name}*.toml"))
    return [parse_structured(path.read_text(), ".toml") for path in found]


@pytest.mark.parametrize(
    "model",
    [
        "timestep_sample_method = 'uniform'",
        "shift = 3",
        "timestep_sample_method = 'uniform'\nshift = 5",
        "sigmoid_scale = 1.4",
    ],
)
def test_runs_train_each_class_in_its_bands(tmp_path, model):
    done = export_case(tmp_path).export(
        "diffusion-pipe", configuration(tmp_path, model)
    )
    for name, each in by_class(done).items():
        parts = []
        for table, share in zip(tables(tmp_path / "out", name), each.plan.parts):
            rng = np.random.default_rng(3)
            draws = trainer_rules.diffusion_pipe_wan(rng, **table["model"])
            parts.append(draws[: round(len(draws) * share)])
        assert distance(np.concatenate(parts), each.realised) < CLOSE
        assert each.distance < 0.001


@pytest.mark.parametrize(
    ("expert", "ends"), [("high", (0.875, 1.0)), ("low", (0.0, 0.875))]
)
def test_one_network_of_wan_22(tmp_path, expert, ends):
    model = f"shift = 5\ntransformer_path = '/data/Wan2.2/{expert}_noise_model'"
    done = export_case(tmp_path).export(
        "diffusion-pipe", configuration(tmp_path, model)
    )
    classes = by_class(done, expert)
    assert ("motion_degraded" in classes) == (expert == "low")
    for each in classes.values():
        assert each.realised.mass([ends]) == pytest.approx(1.0)
        assert each.distance < 0.001
    # a clip of a class is drawn in proportion to its levels on this side
    u = {level: level / (5 - 4 * level) for level in (0.5, 0.875)}
    above = {k: 1 - ndtr(np.log(v / (1 - v))) for k, v in u.items()}
    golden = 4 * (above[0.875] if expert == "high" else 1 - above[0.875])
    visual = 3 * above[0.875] / above[0.5]
    visual = visual if expert == "high" else 3 - visual
    ratio = classes["visual_degraded"].plan.share / classes["golden"].plan.share
    assert ratio == pytest.approx(visual / golden, rel=2e-3)


def test_the_chain_keeps_the_users_settings(tmp_path):
    case = export_case(tmp_path)
    config = configuration(tmp_path)
    before = config.read_bytes()
    case.export("diffusion-pipe", config)
    assert config.read_bytes() == before
    out = tmp_path / "out"
    text = (out / "3-visual_degraded.toml").read_text()
    assert "# my settings" in text
    assert "# here" in text
    table = parse_structured(text, ".toml")
    assert table["model"]["min_t"] == 0.5
    assert table["adapter"]["init_from_existing"] == "@PREVIOUS@"
    assert table["dataset"] == f"{out}/data-visual_degraded.toml"
    first = tables(out, "motion_degraded")[0]
    assert "init_from_existing" not in first["adapter"]
    data = parse_structured((out / "data-visual_degraded.toml").read_text(), ".toml")
    assert data == {
        "resolutions": [512],
        "frame_buckets": [1, 33],
        "directory": [{"path": f"{out}/data/visual_degraded", "num_repeats": 2}],
    }
    lines = (out / "train.sh").read_text()
    assert f"find {out}/output/1-motion_degraded-1 -maxdepth 2" in lines
    assert lines.count("deepspeed --num_gpus=1 train.py") == 4


def test_the_last_epoch_is_put_in_whatever_its_name(tmp_path):
    name = 'it\'s a "$HOME" & | folder'
    export_case(tmp_path).export("diffusion-pipe", configuration(tmp_path), out=name)
    out = tmp_path / name
    for path in ("1-motion_degraded-1", "2-motion_degraded-2", "3-visual_degraded"):
        (out / "output" / path / "x" / "epoch2").mkdir(parents=True)
    text = "deepspeed() { :; }\n" + (out / "train.sh").read_text()
    subprocess.run(["bash", "-c", text], check=True)
    table = parse_structured((out / "4-golden.toml").read_text(), ".toml")
    last = out / "output" / "3-visual_degraded" / "x" / "epoch2"
    assert table["adapter"]["init_from_existing"] == str(last)


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ({"kind": "hunyuan-video"}, "reads no min_t and max_t, Wan alone"),
        ({"adapter": "min_t = 0.5"}, r"min_t: ignored in \[adapter\]"),
    ],
)
def test_what_cannot_carry_bands_is_refused(tmp_path, more, fault):
    with pytest.raises(InputError, match=fault):
        export_case(tmp_path).export("diffusion-pipe", configuration(tmp_path, **more))
    assert not (tmp_path / "out").exists()
    config = configuration(tmp_path)
    config.write_text(config.read_text().replace("epochs = 100", "epochs = 2.7"))
    with pytest.raises(InputError, match=r"epochs: 2.7 must be a whole number"):
        export_case(tmp_path).export("diffusion-pipe", config)
    config = configuration(tmp_path)
    (tmp_path / "dataset.toml").write_text("directory = ['a']\n")
    with pytest.raises(InputError, match=r"needs one \[\[directory\]\]"):
        export_case(tmp_path).export("diffusion-pipe", config)
    config.write_text("adapter = 'x'\n" + config.read_text().split("[adapter]")[0])
    (tmp_path / "dataset.toml").write_text(DATA)
    with pytest.raises(InputError, match="adapter: is no table"):
        export_case(tmp_path).export("diffusion-pipe", config)


def test_steps_that_end_a_run_are_shared_out(tmp_path):
    # train.py of diffusion-pipe (8f83dbf): each run stops at its own max_steps, and its
    # last save is then named step*, not epoch*; it resumes nothing in a new folder.
    config = configuration(tmp_path)
    text = config.read_text()
    more = "max_steps = 900\nresume_from_checkpoint = true\nepochs = 100"
    config.write_text(text.replace("epochs = 100", more))
    done = export_case(tmp_path).export("diffusion-pipe", config)
    out = tmp_path / "out"
    counts = {
        name: [table["max_steps"] for table in tables(out, name)]
        for name in ("golden", "visual_degraded", "motion_degraded")
    }
    assert (counts["golden"], counts["visual_degraded"]) == ([400], [300])
    assert sum(counts["motion_degraded"]) == pytest.approx(200, abs=1)
    assert "resume_from_checkpoint" not in tables(out, "golden")[0]
    assert len(done.classes) == 3
    saves = [out / "output" / "3-visual_degraded" / "x" / "epoch9"]
    saves += [out / "output" / "3-visual_degraded" / "y" / "step300"]
    for path in ("1-motion_degraded-1", "2-motion_degraded-2"):
        saves.append(out / "output" / path / "x" / "step100")
    for age, path in enumerate(saves):
        path.mkdir(parents=True)
        (path.parent / "global_step300").mkdir()
        os.utime(path, (1000 + age, 1000 + age))
    script = "deepspeed() { :; }\n" + (out / "train.sh").read_text()
    subprocess.run(["bash", "-c", script], check=True)
    assert tables(out, "golden")[0]["adapter"]["init_from_existing"] == str(saves[1])
    saves[1].rmdir()
    saves[0].rmdir()
    assert subprocess.run(["bash", "-c", script]).returncode == 1

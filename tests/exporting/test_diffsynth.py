import json
import re

import numpy as np
import pytest
from trainer_rules import CLOSE, diffsynth_wan, distance

from tqd_probe.core.errors import InputError
from tqd_probe.exporting.diffsynth import DiffSynth

# examples/wanvideo/model_training of DiffSynth-Studio, shortened
LAUNCH = """accelerate launch examples/wanvideo/model_training/train.py \\
  --dataset_base_path data/clips \\
  --dataset_metadata_path {metadata} \\
  --height 480 \\
  --width 832 \\
  --dataset_repeat 100 \\
  --model_id_with_origin_paths "Wan-AI/Wan2.2-T2V-A14B:{model}*.safetensors,x:y.pth" \\
  --lora_base_model "dit" {options}
"""


def written(tmp_path, *launches):
    path = tmp_path / "train.sh"
    parts = [
        LAUNCH.format(
            metadata=each.get("metadata", "data/clips/metadata.csv"),
            model=each.get("model", "diffusion_pytorch_model"),
            options=each.get("options", ""),
        )
        for each in launches or ({},)
    ]
    path.write_text("\n# a comment, and it's \"open\n".join(parts))
    return path


def preview(path):
    return DiffSynth().preview(path, None)


def test_the_default_is_the_whole_grid_at_shift_5(tmp_path):
    (trained,) = preview(written(tmp_path)).trained
    draws = diffsynth_wan(np.random.default_rng(0))
    assert distance(draws, trained.levels) < CLOSE
    assert trained.levels.cdf(5 / 6) == pytest.approx(0.5, abs=0.004)


def test_both_networks_of_wan_22_as_the_examples_train_them(tmp_path):
    path = written(
        tmp_path,
        {
            "model": "high_noise_model/d",
            "options": "--max_timestep_boundary 0.417 --min_timestep_boundary 0",
        },
        {
            "model": "low_noise_model/d",
            "options": "--max_timestep_boundary 1 --min_timestep_boundary 0.417",
        },
    )
    high, low = preview(path).trained
    assert (high.expert, low.expert) == ("high", "low")
    assert high.levels.points.min() == pytest.approx(0.875, abs=0.003)
    assert low.levels.points.max() == pytest.approx(0.875, abs=0.003)
    for trained, ends in ((high, (0, 0.417)), (low, (0.417, 1))):
        draws = diffsynth_wan(np.random.default_rng(5), *ends)
        assert distance(draws, trained.levels) < CLOSE


def test_rows_have_boundaries_of_their_own(tmp_path):
    rows = [
        {"video": "a.mp4", "prompt": "a", "class": "golden", "pair": (0.0, 1.0)},
        {"video": "b.mp4", "prompt": "b", "class": "visual_degraded", "pair": (0, 0.4)},
        {"video": "c.mp4", "prompt": "c", "class": "visual_degraded", "pair": (0, 0.2)},
    ]
    lines = []
    for row in rows:
        low, high = row.pop("pair")
        row |= {"min_timestep_boundary": low, "max_timestep_boundary": high}
        lines.append(json.dumps(row))
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    extra = "--extra_inputs min_timestep_boundary,max_timestep_boundary"
    path = written(tmp_path, {"metadata": "rows.jsonl", "options": extra})
    golden, visual = preview(path).trained
    assert (golden.data_set, golden.share) == (
        "all data sets: golden",
        pytest.approx(1 / 3),
    )
    rng = np.random.default_rng(2)
    halves = [diffsynth_wan(rng, 0, high, 10_000) for high in (0.4, 0.2)]
    assert distance(np.concatenate(halves), visual.levels) < CLOSE


@pytest.mark.parametrize(
    ("cell", "fault"),
    [
        ("", "a boundary is empty|is not a number"),
        ("0.7", "hold no level"),
        ("1e308", "hold no level"),
    ],
)
def test_a_bad_cell_is_refused(tmp_path, cell, fault):
    head = "video,prompt,min_timestep_boundary,max_timestep_boundary"
    (tmp_path / "rows.csv").write_text(f"{head}\na.mp4,a,{cell},0.5\n")
    extra = "--extra_inputs min_timestep_boundary,max_timestep_boundary"
    path = written(tmp_path, {"metadata": "rows.csv", "options": extra})
    with pytest.raises(InputError, match=fault):
        preview(path)


def test_traps_are_named(tmp_path):
    path = written(tmp_path, {"model": "high_noise_model/d"})
    assert "trained at all levels" in preview(path).traps[0]
    options = "--min_timestep_boundary 0.5 --max_timestep_boundary 1"
    path = written(tmp_path, {"model": "high_noise_model/d", "options": options})
    assert "count from the noise end" in preview(path).traps[0]
    assert "bell" in preview(path).notes[0]


def test_it_is_recognised_and_others_are_not(tmp_path):
    assert DiffSynth().recognises(written(tmp_path))
    other = tmp_path / "x.sh"
    other.write_text("python hv_train_network.py --dit x\n")
    assert not DiffSynth().recognises(other)
    with pytest.raises(InputError, match=r"launches no train.py"):
        preview(other)
    with pytest.raises(InputError, match="levels are known of Wan, MOVA, LingBot"):
        path = written(tmp_path)
        text = path.read_text().replace("Wan-AI/Wan2.2", "a/Qwen")
        path.write_text(text.replace("wanvideo", "qwen_image"))
        preview(path)


FAMILIES = [
    # folder of train.py (fed7b18), files, level at half the grid
    ("ltx2", "jd-opensource/JoyAI-Echo:JoyAI-Echo-release.safetensors", 0.897),
    ("mova", "openmoss/MOVA-360p:video_dit/x.safetensors", 5 / 6),
    ("lingbot_video", "a/b:c.safetensors", 5 / 6),
    ("minimax_h3", "a/b:c.safetensors", 2.22 / 3.22),
]


@pytest.mark.parametrize(("folder", "files", "middle"), FAMILIES)
def test_the_folder_of_the_script_tells_the_family(tmp_path, folder, files, middle):
    path = written(tmp_path)
    text = path.read_text().replace("examples/wanvideo", f"examples/{folder}")
    path.write_text(re.sub('paths ".*?"', f'paths "{files}"', text))
    (trained,) = preview(path).trained
    assert trained.levels.cdf(middle) == pytest.approx(0.5, abs=0.006)
    if folder == "minimax_h3":  # float32 timesteps: no two indices share a level
        assert len(trained.levels.points) == 1000


CACHE = """accelerate launch examples/wanvideo/model_training/train.py \\
  --dataset_base_path data --dataset_metadata_path rows.csv --dataset_repeat 2 \\
  --model_id_with_origin_paths "Wan-AI/Wan2.1-T2V-1.3B:d*.safetensors" \\
  --output_path ./models/cache --task "sft:data_process" {made}

accelerate launch examples/wanvideo/model_training/train.py \\
  --dataset_base_path models/cache --dataset_repeat 100 --num_epochs 5 \\
  --model_id_with_origin_paths "Wan-AI/Wan2.1-T2V-1.3B:d*.safetensors" \\
  --output_path models/lora --task "sft:train" {read}
"""


def test_the_boundaries_of_a_cache_are_those_it_was_made_with(tmp_path):
    # diffusion/runner.py and training_module.py (fed7b18): the inputs of sft:train,
    # boundaries among them, are read from the cache, and its own are not
    (tmp_path / "rows.csv").write_text("video,prompt\na.mp4,a\nb.mp4,b\n")
    path = tmp_path / "train.sh"
    ends = "--min_timestep_boundary 0.2 --max_timestep_boundary 0.6"
    path.write_text(CACHE.format(made="", read=ends))
    found = preview(path)
    (trained,) = found.trained
    draws = diffsynth_wan(np.random.default_rng(1))
    assert distance(draws, trained.levels) < CLOSE
    assert found.traps == [
        "min_timestep_boundary, max_timestep_boundary: ignored by task sft:train, whose"
        " cache has boundaries of its own; give them to the launch of sft:data_process"
    ]
    assert found.lengths == ["5 epochs; an epoch of 400 draws: rows 2 clips x 200"]
    path.write_text(CACHE.format(made=ends, read=""))
    found = preview(path)
    draws = diffsynth_wan(np.random.default_rng(2), 0.2, 0.6)
    assert distance(draws, found.trained[0].levels) < CLOSE
    assert found.traps == []


def test_a_training_of_whole_samplings_is_refused(tmp_path):
    # wanvideo/model_training/special/direct_distill (fed7b18): DirectDistillLoss
    path = written(tmp_path, {"options": '--task "direct_distill"'})
    with pytest.raises(InputError, match="--task direct_distill: trains whole sampli"):
        preview(path)

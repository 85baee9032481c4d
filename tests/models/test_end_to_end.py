"""The command on a pipeline of every class, from mp4 files with captions."""

import json

import pytest
from pipelines import PIPELINES

from tqd_probe.gradsim import main
from tqd_probe.models.load import load_model
from tqd_probe.schedules.band_schedule import BandSchedule

FEW = [
    "--levels",
    "2",
    "--draws",
    "1",
    "--num-clips",
    "4",
    "--degradations",
    "blur:3",
    "--params",
    r"0\.attn\w*\.(to_q|add_k_proj)|proj_out",
]


def run(checkpoint, clips, out, *more):
    arguments = ["--ckpt", str(checkpoint), "--clips", str(clips), "--out", str(out)]
    return main([*arguments, *FEW, *more])


@pytest.mark.rendered("similarity_heatmap")
@pytest.mark.parametrize("name", sorted(n for n in PIPELINES if "experts" not in n))
def test_gradsim_on_every_family(checkpoint, folder_of_clips, tmp_path, name, capsys):
    assert run(checkpoint(name), folder_of_clips, tmp_path) == 0
    schedule = BandSchedule.load(tmp_path / "bands.json")
    model = load_model(str(checkpoint(name)))
    assert schedule.model.family == model.family
    assert schedule.model.prediction == model.prediction
    assert schedule.model.fingerprint == model.fingerprint
    assert schedule.model.expert is None
    assert schedule.noise.levels == model.nearest_levels(schedule.noise.levels).tolist()
    result = json.loads((tmp_path / "gradsim.json").read_text())
    assert abs(result["covered_share"] - 1) < 1e-6
    assert (tmp_path / "figures" / "similarity_heatmap.png").stat().st_size > 1000
    assert "blur:3" in capsys.readouterr().out


@pytest.mark.rendered("experts_heatmap")
def test_both_experts_each_over_its_own_range(
    checkpoint, folder_of_clips, tmp_path, capsys
):
    ckpt = checkpoint("wan_experts")
    low_bar = "--levels 2 --draws 1 --num-clips 8 --degradations blur:3 --cos-min -0.5"
    argv = ["--ckpt", str(ckpt), "--out", str(tmp_path), "--expert", "both"]
    argv += [*low_bar.split(), "--norm-range", "0.01,100", *FEW[-2:]]
    assert main(argv) == 0
    for expert, (low, high) in {"high": (0.875, 1), "low": (0, 0.875)}.items():
        schedule = BandSchedule.load(tmp_path / expert / "bands.json")
        assert schedule.model.expert == expert
        width = high - low
        assert schedule.noise.levels == [low + width / 4, low + 3 * width / 4]
        (bands,) = (entry.bands for entry in schedule.classes.values() if entry.bands)
        assert low <= bands[0][0] < bands[-1][1] <= high
        model = load_model(str(ckpt), expert=expert)
        assert schedule.model.fingerprint == model.fingerprint
    assert (tmp_path / "figures" / "experts_heatmap.png").stat().st_size > 1000
    capsys.readouterr()
    code = run(ckpt, folder_of_clips, tmp_path / "x", "--expert=low", "--levels=0.9")
    assert code == 2
    assert "outside the network's range" in capsys.readouterr().err


def test_a_lora_is_probed_alone_or_fused(checkpoint, folder_of_clips, tmp_path):
    ckpt = checkpoint("ltx")
    model = load_model(str(ckpt))
    model.add_lora(2, 8.0)
    for name, parameter in model.network.named_parameters():
        if ".lora_B." in name:
            parameter.data += 0.1
    model.save_lora(tmp_path / "lora")
    arguments = ["--ckpt", str(ckpt), "--clips", str(folder_of_clips), *FEW[:-2]]
    lora = ["--lora", str(tmp_path / "lora")]
    alone, fused = tmp_path / "alone", tmp_path / "fused"
    assert main([*arguments, *lora, "--out", str(alone), "--self-check"]) == 0
    more = ["--fuse-lora", *FEW[-2:], "--checkpointing", "on"]
    assert main([*arguments, *lora, *more, "--out", str(fused)]) == 0
    of_lora = BandSchedule.load(alone / "bands.json").model
    of_fused = BandSchedule.load(fused / "bands.json").model
    assert of_lora.parameters == "lora"
    assert of_fused.parameters == FEW[-1]
    assert of_lora.fingerprint == of_fused.fingerprint
    assert of_lora.fingerprint != load_model(str(ckpt)).fingerprint
    groups = json.loads((alone / "gradsim.json").read_text())["modules"]
    assert set(groups) == {
        f"block0{i}.{part}"
        for i in (0, 1)
        for part in ("self_attention", "cross_attention")
    }

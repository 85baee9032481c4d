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
    "--least-clips",
    "4",
    "--degradations",
    "blur:3",
    "--params",
    r"0\.attn\w*\.(to_q|add_k_proj)|proj_out",
]


def run(checkpoint, clips, out, *more):
    arguments = ["--ckpt", str(checkpoint), "--clips", str(clips), "--out", str(out)]
    return main([*arguments, *FEW, *more])


def every_pipeline():
    """All but those of two experts; the heatmap is drawn to pixels for one."""
    for name in sorted(PIPELINES):
        if "experts" not in name:
            drawn = pytest.mark.rendered("similarity_heatmap")
            yield pytest.param(name, marks=[drawn] if name == "wan" else [])


@pytest.mark.parametrize("name", every_pipeline())
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
    drawn = (tmp_path / "figures" / "similarity_heatmap.png").stat().st_size
    assert drawn > (1000 if name == "wan" else 0)
    assert "blur:3" in capsys.readouterr().out


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

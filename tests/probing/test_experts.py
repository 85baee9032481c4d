import pytest
from probe_runs import fails

from tqd_probe.core.errors import InputError
from tqd_probe.gradsim import main
from tqd_probe.models.load import load_model
from tqd_probe.probing.experts import settings_per_expert
from tqd_probe.probing.settings import ProbeRunSettings
from tqd_probe.schedules.band_schedule import BandSchedule

PARAMS = r"0\.attn\w*\.(to_q|add_k_proj)|proj_out"


def test_experts_get_directories_of_their_own(tmp_path):
    both = ProbeRunSettings(ckpt="tiny", expert="both", out=tmp_path, draws=3)
    found = settings_per_expert(both)
    assert [each.expert for each in found.values()] == ["high", "low"]
    assert [each.out for each in found.values()] == [tmp_path / n for n in found]
    assert all(each.draws == 3 for each in found.values())
    unnamed = settings_per_expert(both.model_copy(update={"out": None}))
    first, second = (each.out for each in unnamed.values())
    assert first.parent == second.parent
    assert first.parent.parent.name == "runs"
    with pytest.raises(InputError, match="the weights of one expert"):
        settings_per_expert(both.model_copy(update={"pipeline": "tiny"}))


@pytest.mark.rendered("experts_heatmap")
def test_both_experts_each_over_its_own_range(checkpoint, tmp_path, capsys):
    ckpt = checkpoint("wan_experts")
    low_bar = "--levels 2 --draws 1 --num-clips 8 --degradations blur:3 --cos-min -0.5"
    argv = ["--ckpt", str(ckpt), "--out", str(tmp_path), "--expert", "both"]
    argv += [*low_bar.split(), "--norm-range", "0.01,100", "--params", PARAMS]
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
    low = ["--ckpt", str(ckpt), "--out", str(tmp_path / "x"), "--expert", "low"]
    fails(capsys, [*low, "--levels", "0.9"], "outside the network's range")

"""The probe as a function: what it writes, returns, shows and honours."""

import pytest
from probe_runs import FIGURES, results

from tqd_probe import ProbeResult, api, probe
from tqd_probe.core.errors import InputError
from tqd_probe.probing.settings import ProbeRunSettings

SMALL = {
    "num_clips": 5,
    "least_clips": 4,
    "levels": "0.1,0.5,0.9",
    "degradations": "blur:4,freeze:5,identity:1",
    "metric": "raw",
}
FASTER = {"levels": "0.5", "draws": 1, "degradations": "blur:4"}


def test_with_out_it_writes_what_the_command_writes(
    probe_run, pipeline, tmp_path, capfd
):
    out = tmp_path / "run"
    result = probe(ckpt=str(pipeline), out=out, progress=False, **SMALL)
    assert isinstance(result, ProbeResult)
    assert results(out) == results(probe_run)
    assert (out / "clips.csv").read_bytes() == (probe_run / "clips.csv").read_bytes()
    assert {p.stem for p in (out / "figures").iterdir()} == set(FIGURES)
    assert capfd.readouterr() == ("", "")


def test_without_out_nothing_is_left(pipeline, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    result = probe(ckpt=str(pipeline), **{**SMALL, **FASTER})
    assert result.levels == pytest.approx([0.5])
    assert list(tmp_path.iterdir()) == []
    shown = capfd.readouterr().err
    assert "encode:" in shown
    assert "level 1/1" in shown
    assert "cost: " in shown


def test_every_option_is_honoured(pipeline, monkeypatch, tmp_path):
    options = {**SMALL, **FASTER, "ckpt": str(pipeline), "progress": False}
    table = probe(plan=True, out=tmp_path / "planned", **options)
    assert "clips for cosine intervals" in table
    assert not (tmp_path / "planned").exists()
    with pytest.raises(InputError, match="--pool: visual_degraded is missing"):
        probe(criterion="mixture", pool="golden=5", **options)

    checked = []

    def self_check(workspace):
        checked.append(len(workspace.sigmas))
        return "self-check passed"

    monkeypatch.setattr("tqd_probe.probing.run.self_check", self_check)
    probe(self_check=True, **options)
    assert checked == [1]


@pytest.mark.rendered("experts_heatmap")
def test_both_experts_are_probed_and_drawn(probe_run, tmp_path, monkeypatch):
    """One network serves as both here; the families' tests have checkpoints of two."""
    result = ProbeResult.load(probe_run / "gradsim.json")
    asked = []

    def run_probe(settings, *, progress):
        asked.append((settings.expert, settings.out))
        settings.out.mkdir(parents=True)
        (settings.out / "bands.json").write_bytes(
            (probe_run / "bands.json").read_bytes()
        )
        return result

    monkeypatch.setattr(api, "run_probe", run_probe)
    monkeypatch.setattr(api, "draw_all", lambda *rest: [])
    settings = ProbeRunSettings(ckpt="tiny", expert="both", out=tmp_path / "both")
    found = probe(settings)
    assert found == {"high": result, "low": result}
    out = tmp_path / "both"
    assert asked == [("high", out / "high"), ("low", out / "low")]
    assert (out / "figures" / "experts_heatmap.png").stat().st_size > 10_000
    asked.clear()
    assert set(probe(ckpt="tiny", expert="both")) == {"high", "low"}
    assert not asked[0][1].parent.exists()  # a folder that is gone again

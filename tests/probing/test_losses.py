"""Gradients that cannot be trusted stop a probe."""

from probe_runs import arguments, fails
from safetensors.torch import load_file, save_file


def test_uncovered_gradients_are_refused(pipeline, tmp_path, capsys, monkeypatch):
    from tqd_probe.gradients.capture import GradientCapture

    whole = GradientCapture.__init__

    def lose(self, *rest):
        whole(self, *rest)
        self._layers = self._layers[:-8]

    monkeypatch.setattr(GradientCapture, "__init__", lose)
    fails(capsys, arguments(pipeline, tmp_path / "u"), "of the squared gradient norm")


def test_non_finite_gradient_names_clip_level_and_module(copied, tmp_path, capsys):
    file = next((copied / "transformer").glob("*.safetensors"))
    tensors = load_file(file)
    tensors["blocks.1.ffn.net.2.weight"][0, 0] = float("nan")
    save_file(tensors, file, metadata={"format": "pt"})
    parts = ("synthetic-0-00000", "golden", "sigma 0.1", "module", "not finite")
    fails(capsys, arguments(copied, tmp_path / "n"), *parts)
    assert not (tmp_path / "n" / "bands.json").exists()

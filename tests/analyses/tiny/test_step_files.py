"""Step files of a training."""

import torch

from tqd_probe.models.load import load_model


def test_step_file_goes_into_a_copy_of_the_pipeline(trained, tmp_path):
    from analyses.tiny.step_files import pipeline_at_step

    work, out, _ = trained
    copy = pipeline_at_step(str(out), work / "step-00001.pt", tmp_path / "copy")
    first, last = load_model(str(copy)), load_model(str(out))
    name = "transformer_blocks.0.attn1.to_q.weight"
    wanted = torch.load(work / "step-00001.pt", weights_only=True)["model"][name]
    assert torch.equal(first.network.state_dict()[name], wanted)
    assert not torch.equal(last.network.state_dict()[name], wanted)
    assert first.fingerprint != last.fingerprint

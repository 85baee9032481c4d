import pytest

from tqd_probe.core.memory import free_bytes
from tqd_probe.probing.prepare import prepare
from tqd_probe.probing.settings import ProbeRunSettings


@pytest.fixture
def workspace(pipeline, tmp_path):
    return prepare(
        ProbeRunSettings(
            ckpt=str(pipeline),
            out=tmp_path / "run",
            num_clips=4,
            least_clips=4,
            levels="0.3,0.8",
            degradations="blur:4",
        ),
        progress=False,
    )


def test_nothing_is_written_before_the_directory_is_claimed(workspace):
    assert not workspace.out.exists()
    with pytest.raises(RuntimeError, match="not claimed yet"):
        _ = workspace.store
    workspace.claim()
    try:
        assert (workspace.out / "run.json").exists()
        assert workspace.store.draws.count(0, 4) == (0, 0)
        assert 1e6 < workspace.store.draws.limit < free_bytes("cpu")
    finally:
        workspace.release()


def test_paired_clips_come_before_unpaired_ones(workspace):
    assert len(workspace.clip_ids) == 4
    assert workspace.unpaired_indices == range(4, 4)
    assert workspace.sigmas.tolist() == [0.3, 0.8]

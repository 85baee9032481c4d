import pytest
from score_runs import run


@pytest.mark.long
def test_ray_with_two_workers_gives_the_same_bytes(videos, tmp_path, monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    (videos / "bad.mp4").write_bytes(b"no video")
    run(videos, tmp_path / "one.csv")
    # Half of the clips are done already, as after a kill.
    journal = (tmp_path / "one.journal.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "two.journal.jsonl").write_text("".join(journal[:4]))
    options = {"workers": 2, "engine": "ray", "shard_size": 2}
    run(videos, tmp_path / "two.csv", **options)
    for name in ("{}.csv", "{}.quarantine.csv"):
        one, two = (tmp_path / name.format(stem) for stem in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()
    again = (tmp_path / "two.journal.jsonl").read_text().splitlines(keepends=True)
    assert again[:4] == journal[:4]
    assert sorted(again) == sorted(journal)

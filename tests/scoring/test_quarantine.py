from tqd_probe.scoring.quarantine import quarantine_path, write_quarantine


def test_clips_left_out_are_listed_and_an_old_list_goes(tmp_path):
    out = tmp_path / "scores.csv"
    path = quarantine_path(out)
    assert path == tmp_path / "scores.quarantine.csv"
    left_out = [("a.mp4", "cannot, be decoded"), ("b.mp4", "too short")]
    assert write_quarantine(out, iter(left_out)) == 2
    assert path.read_text().splitlines() == [
        "video,reason",
        'a.mp4,"cannot, be decoded"',
        "b.mp4,too short",
    ]
    assert write_quarantine(out, iter(())) == 0
    assert list(tmp_path.iterdir()) == []

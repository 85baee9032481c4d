from score_files import fault, read, write


def test_dover_csv_and_text(tmp_path):
    header = "path, aesthetic score, technical score, overall/final score\n"
    file, (row,) = read(write(tmp_path, header + "a.mp4, 0.51, 0.62, 0.57\n"))
    assert (file.format, row.video, row.mq, row.vq) == ("dover", "a.mp4", None, 0.62)
    text = "a.mp4,51.230000, 62.100000,57.000000\nb, c.mp4,1.0, 2.0,3.0\n"
    path = write(tmp_path, text, "zero_shot_res_sensehdr.txt")
    file, (one, two) = read(path)
    assert (file.format, one.vq, two.video, two.vq) == ("dover", 62.1, "b, c.mp4", 2.0)
    fault(write(tmp_path, header, "only.csv"), "no rows", "zero_shot_res_sensehdr.txt")
    fault(write(tmp_path, "a.mp4,1,2\n", "x.txt"), "line 1", "technical")
    fault(write(tmp_path, "a.mp4,1,nan,2\n", "y.txt"), "line 1", "'nan'")
    fault(tmp_path / "absent.txt", "no such file")

import json

import pytest
from score_files import fault, read, write

from tqd_probe.core.errors import InputError


def test_videoalign(tmp_path):
    path = write(
        tmp_path,
        "path,model,prompt,fps,num_frames,reward_VQ,reward_MQ,reward_TA,reward_Overall\n"
        "videos/a.mp4,m1,A cat jumps.,8.0,49,-0.31,1.25,0.5,1.44\n"
        'videos/b.mp4,m1,"Two dogs, running",8.0,49,0.8,-0.4,0.1,0.5\n',
    )
    file, (one, two) = read(path)
    assert file.format == "videoalign"
    assert (one.video, one.mq, one.vq) == ("videos/a.mp4", 1.25, -0.31)
    assert one.caption == "A cat jumps."
    assert one.components == {"reward_TA": 0.5, "reward_Overall": 1.44}
    assert (two.mq, two.vq, two.caption) == (-0.4, 0.8, "Two dogs, running")


def test_videoalign_training_pairs_are_refused(tmp_path):
    text = "path_A,path_B,prompt,VQ,MQ,TA\na.mp4,b.mp4,A cat,A,B,same\n"
    fault(write(tmp_path, text), "path_A", "preferences", "out_single.csv")


def test_koala(tmp_path):
    path = write(
        tmp_path,
        "videoID,url,timestamp,caption,clarity_score,aesthetic_score,motion_score,"
        "video_training_suitability_score\n"
        "abc_0,https://y/a,\"['0:00:01.2','0:00:05.9']\",A man,0.97,4.58,50.9,-0.02\n",
    )
    file, (row,) = read(path)
    assert file.format == "koala-36m"
    assert "amount" in file.remark
    assert (row.video, row.mq, row.vq) == ("abc_0", 50.9, 0.97)
    assert row.components == {
        "timestamp": "['0:00:01.2','0:00:05.9']",
        "aesthetic_score": 4.58,
        "video_training_suitability_score": -0.02,
    }


def test_openvid_names_with_spaces(tmp_path):
    path = write(
        tmp_path,
        "video,caption,aesthetic score,motion score,temporal consistency score,"
        "camera motion,frame,fps,seconds\n"
        'a.mp4,"A cat, ""asleep""",5.1,3.25,0.99,pan_left,100,25.0,4.0\n',
    )
    file, (row,) = read(path)
    assert file.format == "openvid-1m"
    assert (row.video, row.mq, row.vq) == ("a.mp4", 3.25, 5.1)
    assert row.caption == 'A cat, "asleep"'
    assert row.components["temporal consistency score"] == 0.99


def test_panda_has_one_row_per_clip_and_no_scores(tmp_path):
    path = write(
        tmp_path,
        "videoID,url,timestamp,caption,matching_score,desirable_filtering,"
        "shot_boundary_detection\n"
        "v1,https://y/v1,\"[['0:00:01.000', '0:00:03.000'], ['0:00:04.000',"
        " '0:00:09.000']]\",\"['A cat.', 'A dog, too.']\",\"[0.45, 0.5]\","
        "\"['1_still_foreground_image', 'desirable']\","
        "\"[[['0:00:00.000', '0:00:02.000']], [['0:00:00.000', '0:00:05.000']]]\"\n",
    )
    file, (one, two) = read(path)
    assert file.format == "panda-70m"
    assert "no motion or visual score" in file.remark
    assert [one.video, two.video] == ["v1_0", "v1_1"]
    assert [one.caption, two.caption] == ["A cat.", "A dog, too."]
    assert (one.mq, one.vq, two.mq, two.vq) == (None,) * 4
    assert one.components["desirable_filtering"] == "1_still_foreground_image"
    assert two.components["matching_score"] == 0.5
    short = path.read_text().replace("[0.45, 0.5]", "[0.45]")
    fault(
        write(tmp_path, short, "b.csv"), "line 2", "lists differ", "matching_score: 1"
    )


def test_videofeedback_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = pyarrow.Table.from_pylist(
        [
            {
                "id": f"{n}",
                "text prompt": "A cat",
                "video link": "https://v/1.mp4",
                "visual quality": n,
                "temporal consistency": 2,
                "dynamic degree": 4 - n,
                "text-to-video alignment": 1,
                "factual consistency": 1,
            }
            for n in (1, 2, 3)
        ]
    )
    parquet.write_table(table, tmp_path / "train.parquet")
    file, rows = read(tmp_path / "train.parquet")
    assert file.format == "videofeedback"
    assert [(row.video, row.mq, row.vq) for row in rows] == [
        ("1", 3, 1),
        ("2", 2, 2),
        ("3", 1, 3),
    ]
    assert rows[0].caption == "A cat"
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no")
    fault(tmp_path / "bad.parquet", "not Parquet or damaged")


def test_nemo_curator_folder_of_nested_objects(tmp_path):
    for n in (1, 2):
        entry = {
            "span_uuid": f"u{n}",
            "source_video": "v.mp4",
            "motion_score": {"global_mean": n / 1000, "per_patch_min_256": 1e-6},
            "aesthetic_score": 4.0 + n,
            "windows": [],
        }
        (tmp_path / f"u{n}.json").write_text(json.dumps(entry))
    file, (one, two) = read(tmp_path)
    assert file.format == "nemo-curator"
    assert (one.video, one.mq, one.vq) == ("u1", 0.001, 5.0)
    assert (two.video, two.mq, two.vq) == ("u2", 0.002, 6.0)
    assert one.components == {"motion_score_per_patch_min_256": 1e-6}
    (tmp_path / "u3.json").write_text("[1]")
    with pytest.raises(InputError, match=r"u3\.json: is not an object"):
        read(tmp_path)


def test_data_juicer_lists(tmp_path):
    lines = [
        {
            "videos": ["a.mp4", "b.mp4"],
            "text": "two",
            "__dj__stats__": {
                "video_motion_score": [1.5, 0.25],
                "video_frames_aesthetics_score": [0.5, 0.75],
            },
        },
        {
            "videos": ["c.mp4"],
            "text": "one",
            "__dj__stats__": {
                "video_motion_score": [9.0],
                "video_frames_aesthetics_score": [0.1],
            },
        },
    ]
    path = write(tmp_path, "\n".join(map(json.dumps, lines)), "out.jsonl")
    file, rows = read(path)
    assert file.format == "data-juicer"
    assert [(row.video, row.mq, row.vq) for row in rows] == [
        ("a.mp4", 1.5, 0.5),
        ("b.mp4", 0.25, 0.75),
        ("c.mp4", 9.0, 0.1),
    ]

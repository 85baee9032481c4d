"""Every published shape as its publisher writes it, and broken ones."""

import json

import pytest

from tqd_probe.core.errors import InputError
from tqd_probe.scoring.published.score_file import open_scores


def write(tmp_path, text, name="scores.csv", encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return path


def read(path, **columns):
    file = open_scores(path, **columns)
    return file, list(file.rows())


def fault(path, *parts, **columns):
    with pytest.raises(InputError) as error:
        read(path, **columns)
    text = str(error.value)
    assert text.startswith(str(path)), text
    assert "\n" not in text
    for part in parts:
        assert part in text, text


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


def test_preference_letters_are_no_scores(tmp_path):
    text = "path,prompt,VQ,MQ\na.mp4,A cat,A,same\n"
    fault(write(tmp_path, text), "line 2", "MQ", "'same'", "preferences")


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


def test_vbench(tmp_path):
    results = {
        "dynamic_degree": [
            0.5,
            [
                {"video_path": "a.mp4", "video_results": True},
                {"video_path": "b.mp4", "video_results": False},
            ],
        ],
        "imaging_quality": [
            0.6,
            [
                {"video_path": "a.mp4", "video_results": 61.5},
                {"video_path": "b.mp4", "video_results": 58.5},
            ],
        ],
        "motion_smoothness": [0.9, [{"video_path": "b.mp4", "video_results": 0.9}]],
    }
    path = write(tmp_path, json.dumps(results), "x_eval_results.json")
    file, (one, two) = read(path)
    assert (file.format, file.mq, file.vq) == (
        "vbench",
        "dynamic_degree",
        "imaging_quality",
    )
    assert (one.video, one.mq, one.vq) == ("a.mp4", 1, 61.5)
    assert (two.mq, two.components) == (0, {"motion_smoothness": 0.9})
    _, (_, two) = read(path, mq_column="motion_smoothness")
    assert two.mq == 0.9
    fault(path, "'nothing'", "dynamic_degree", vq_column="nothing")
    only = {"overall_consistency": results["motion_smoothness"]}
    fault(
        write(tmp_path, json.dumps(only), "c.json"),
        "overall_consistency",
        "imaging_quality",
    )
    torn = {"imaging_quality": [0.6, [{"video_path": "a.mp4"}]]}
    fault(write(tmp_path, json.dumps(torn), "d.json"), "video_results")
    mean = {"imaging_quality": [0.6]}
    fault(write(tmp_path, json.dumps(mean), "e.json"), "[mean, [videos]]")


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


@pytest.mark.parametrize("suffix", ["csv", "json", "jsonl"])
def test_neutral_columns(tmp_path, suffix):
    rows = [{"video": "a.mp4", "mq": 0.25, "vq": 1, "source": "web"}]
    text = {
        "csv": "video,mq,vq,source\na.mp4,0.25,1,web\n",
        "json": json.dumps(rows),
        "jsonl": json.dumps(rows[0]),
    }[suffix]
    file, (row,) = read(write(tmp_path, text, f"s.{suffix}"))
    assert file.format == "columns"
    assert (row.video, row.mq, row.vq, row.source) == ("a.mp4", 0.25, 1, "web")


def test_byte_order_mark_crlf_and_quoted_newlines(tmp_path):
    text = 'video,caption,mq,vq\r\na.mp4,"two\r\nlines",0.5,0.25\r\nb.mp4,x,1,A\r\n'
    path = write(tmp_path, text, encoding="utf-8-sig")
    file = open_scores(path)
    rows = file.rows()
    first = next(rows)
    assert (first.video, first.mq, first.vq) == ("a.mp4", 0.5, 0.25)
    assert first.caption == "two\r\nlines"
    with pytest.raises(InputError, match="line 4: vq: 'A'"):
        next(rows)


@pytest.mark.parametrize(
    ("cell", "parts"),
    [
        ("nan", ["'nan'", "finite"]),
        ("inf", ["'inf'", "finite"]),
        ("good", ["'good'", "not a number"]),
        ('"[0.5, 0.6]"', ["list", "one row per clip"]),
        ('"0,5"', ["'0,5'", "not a number"]),
        ("True", ["'True'", "not a number"]),
    ],
)
def test_cells_that_are_no_scores(tmp_path, cell, parts):
    text = f"video,mq,vq\na.mp4,0.5,0.5\nb.mp4,0.5,{cell}\n"
    fault(write(tmp_path, text), "line 3", "vq", *parts)


def test_an_object_is_no_score(tmp_path):
    path = write(tmp_path, '{"video": "a", "mq": {"x": 1}, "vq": 2}\n', "a.jsonl")
    fault(path, "line 1", "mq", "not a number")


def test_empty_cells_are_no_scores_but_no_fault(tmp_path):
    _, (row,) = read(write(tmp_path, "video,mq,vq\na.mp4,,0.5\n"))
    assert (row.mq, row.vq) == (None, 0.5)
    fault(write(tmp_path, "video,mq,vq\n,1,0.5\n"), "line 2", "video", "empty")


def test_unknown_columns_list_what_was_found_and_what_is_known(tmp_path):
    path = write(tmp_path, "clip,beauty,speed\na.mp4,3,4\n")
    fault(path, "clip, beauty, speed", "reward_mq", "technical_score", "--mq-column")
    file, (row,) = read(
        path, video_column="clip", mq_column="Speed", vq_column="beauty"
    )
    assert (file.mq, row.video, row.mq, row.vq) == ("speed", "a.mp4", 4, 3)
    fault(path, "'shine'", "clip, beauty, speed", vq_column="shine")
    path = write(tmp_path, "video,beauty\na.mp4,3\n")
    fault(path, "a motion or visual score", "video, beauty")


def test_rows_left_out_up_to_max_bad(tmp_path):
    path = write(tmp_path, "video,mq,vq\na,1,1\nb,x,1\nc,2,2\nd,y,1\n")
    bad = []
    file = open_scores(path)
    rows = file.rows(bad, max_bad=1)
    assert [next(rows).video, next(rows).video] == ["a", "c"]
    with pytest.raises(InputError, match="2 bad rows"):
        next(rows)
    assert len(bad) == 2
    assert "line 3" in bad[0]

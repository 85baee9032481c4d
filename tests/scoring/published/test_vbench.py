import json

from score_files import fault, read, write


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

from tqd_probe.scoring.summary import format_summary

SUMMARY = {
    "clips": 8,
    "from": "x.csv",
    "published_as": "dover",
    "mq_column": None,
    "vq_column": "technical_score",
    "scale": "0 to 100",
    "scale_from": "values",
    "remark": "DOVER judges no motion",
    "columns": {
        "vq": {
            "scores": 8,
            "raw_quartiles": [1, 20, 50, 80, 99.5],
            "method": "quantile",
            "threshold": 0.5,
        }
    },
    "classes": {"golden": 2, "visual_degraded": 4},
    "unclassified": 2,
    "quarantined": 3,
}


def test_every_part_of_the_summary_is_told():
    assert format_summary(SUMMARY).splitlines() == [
        "dover: mq from None, vq from 'technical_score'",
        "scale: 0 to 100 (by values)",
        "note: DOVER judges no motion",
        "vq: 8 scores from 1 to 99.5, median 50; quantile; good from 0.5",
        "golden                  2   25.0%",
        "visual_degraded         4   50.0%",
        "no class                2   25.0%  (a score is missing)",
        "left out: 3",
    ]


def test_scored_clips_name_their_scorer():
    summary = {**SUMMARY, "scoring": {"scorer": "proxies"}, "unclassified": 0}
    for key in ("from", "scale", "remark", "quarantined"):
        del summary[key]
    lines = format_summary(summary).splitlines()
    assert lines[0] == "proxies"
    assert len(lines) == 4

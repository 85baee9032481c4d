"""Published scores of VideoAlign and their conversion."""

import csv

from tqd_probe.scoring.published.convert import convert
from tqd_probe.scoring.score_table import ClassificationRule
from tqd_probe.scoring.thresholds import parse_threshold


def run(path, out, normalise="quantile", mq="0.5", vq="0.5", **options):
    how = ClassificationRule(normalise, parse_threshold(mq), parse_threshold(vq))
    summary, bad = convert(path, out, how, options.pop("columns", {}), **options)
    with open(out, encoding="utf-8", newline="") as handle:
        return summary, list(csv.DictReader(handle)), bad


def videoalign(tmp_path, mq, vq):
    path = tmp_path / "out_single.csv"
    lines = ["path,prompt,reward_VQ,reward_MQ"]
    lines += [f"{n}.mp4,p,{b},{a}" for n, (a, b) in enumerate(zip(mq, vq))]
    path.write_text("\n".join(lines) + "\n")
    return path

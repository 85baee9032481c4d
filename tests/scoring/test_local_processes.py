import os
from dataclasses import dataclass

from score_runs import run

from tqd_probe.scoring.clip_scores import ReadOptions
from tqd_probe.scoring.local_processes import score_locally
from tqd_probe.scoring.tasks import Task, list_tasks


def test_two_processes_give_the_same_bytes(videos, tmp_path):
    run(videos, tmp_path / "one.csv")
    run(videos, tmp_path / "two.csv", workers=2)
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()


@dataclass(frozen=True)
class Killer(Task):
    """A clip that ends the process that receives it."""

    def __reduce__(self):
        return os._exit, (9,)


def test_synthetic_clips_are_scored_here():
    tasks = [Task("synthetic:0")]
    ((task, result),) = score_locally(tasks, ReadOptions(), 1)
    assert task == tasks[0]
    ((_, here),) = score_locally(tasks, ReadOptions(), 0)
    assert result == here


def test_a_clip_that_kills_its_process_is_found(videos):
    tasks = list_tasks(str(videos))[:2]
    tasks.insert(1, Killer("killer.mp4"))
    found = {
        task.video: result for task, result in score_locally(tasks, ReadOptions(), 1)
    }
    assert "killed the process" in found["killer.mp4"]["bad"]
    assert sorted(found) == sorted(task.video for task in tasks)
    assert all("mq" in result for name, result in found.items() if name[0] != "k")

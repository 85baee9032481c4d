import logging

import pytest

from tqd_probe.core.errors import InputError
from tqd_probe.core.files import write_json
from tqd_probe.core.run_directory import (
    add_log_file,
    describe_run,
    differences,
    lock_directory,
    read_description,
    remove_log_file,
)


def describe(steps=3, clips="a"):
    return describe_run({"steps": steps, "lr_schedule": "x"}, {"clips": clips}, [])


def test_reading_creates_nothing(tmp_path):
    assert read_description(tmp_path / "new", "run") is None
    assert not (tmp_path / "new").exists()
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "log.txt").write_text("early")
    assert read_description(tmp_path / "old", "run", ("log.txt",)) is None
    with pytest.raises(InputError, match="not empty and not a run"):
        read_description(tmp_path / "old", "run")
    with pytest.raises(InputError, match="of its own"):
        read_description(tmp_path.__class__("."), "run")


def test_a_description_is_read_back_and_compared(tmp_path):
    write_json(tmp_path / "run.json", describe().model_dump())
    known = read_description(tmp_path, "run")
    assert known == describe()
    assert differences(known, describe()) == []
    found = differences(known, describe(steps=4, clips="b"))
    assert found == ["--steps was 3, now 4", "clips differ"]

    def longer(name, old, new):
        return name == "steps" and new > old

    assert differences(known, describe(steps=4), longer) == []
    assert differences(known, describe(steps=2), longer) != []


def test_one_process_holds_the_lock(tmp_path):
    lock = lock_directory(tmp_path)
    with pytest.raises(InputError, match="another process is working in it"):
        lock_directory(tmp_path)
    lock.close()
    lock_directory(tmp_path).close()


def test_the_log_has_what_was_said_in_between(tmp_path):
    log = logging.getLogger("tqd_probe")
    handler = add_log_file(tmp_path)
    log.info("inside")
    remove_log_file(handler)
    log.info("outside")
    text = (tmp_path / "log.txt").read_text()
    assert "inside" in text
    assert "outside" not in text


def test_a_log_that_cannot_be_written_is_said_once(tmp_path, capsys):
    (tmp_path / "log.txt").symlink_to("/dev/full")
    log = logging.getLogger("tqd_probe")
    handler = add_log_file(tmp_path)
    log.info("one")
    log.info("two")
    remove_log_file(handler)
    text = f"warning: {tmp_path}/log.txt: cannot be written (No space left on device)\n"
    assert capsys.readouterr().err == text

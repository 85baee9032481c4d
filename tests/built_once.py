"""Folders that all workers of a test session share: built by one, changed by none."""

import json

from filelock import FileLock


def shared_folder(tmp_path_factory):
    """The folder of this session; with pytest-xdist the parent of all workers' own."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if own.name.startswith("popen-") else own


def contents(folder):
    """Size and time of every file below a folder."""
    return {
        str(path.relative_to(folder)): [path.stat().st_size, path.stat().st_mtime_ns]
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


class BuiltOnce:
    """Builds each folder in the first worker that asks; notes what was in it.

    A test that must change a folder copies it. `check` finds those that did not.
    """

    def __init__(self, root):
        self.root = root
        self.used = {}

    def get(self, name, build):
        """Return the folder of a name, made by ``build(folder)`` where it is not yet.

        The result of `build` is not kept: other workers see the files alone.
        """
        if name in self.used:
            return self.used[name]
        place = self.root / name
        note = self.root / f"{name}.contents.json"
        with FileLock(self.root / f"{name}.lock"):
            if not note.exists():
                place.mkdir()
                build(place)
                note.write_text(json.dumps(contents(place)))
        self.used[name] = place
        return place

    def check(self):
        """Fail where a test changed a folder in place."""
        for name, place in self.used.items():
            before = json.loads((self.root / f"{name}.contents.json").read_text())
            found = contents(place)
            changed = [k for k in before | found if before.get(k) != found.get(k)]
            assert not changed, f"a test changed the shared {place}: {changed}"

"""README and pages: links, sizes, and that the code blocks work.

Blocks of README and the walkthrough marked ``python`` run as they stand. Blocks marked
``bash`` run once, in order, with small settings in place of those of a real run. All
commands in any block of any page must parse.
"""

from __future__ import annotations

import configparser
import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tqd_probe.__main__ import COMMANDS, load_command, main
from tqd_probe.clips.degradations import EFFECTS, parse_degradations
from tqd_probe.clips.shape import ClipShape
from tqd_probe.clips.synthetic import synthetic_clip
from tqd_probe.clips.video import write_video
from tqd_probe.core.command_line import parse

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
DOCS = ROOT / "tqd_probe" / "docs"
WALKTHROUGH = DOCS / "walkthrough.md"
PAGES = [README, *sorted(DOCS.glob("*.md")), *sorted(ROOT.glob("analyses/**/*.md"))]
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+)\)")
SMALL = {
    "score": ["--workers", "0"],
    "gradsim": [
        "--levels",
        "0.4,0.6",  # resolved by eight clips, as a measured density needs it
        "--draws",
        "1",
        "--degradations",
        "blur:3,freeze:5",
    ],
    "train": ["--steps", "2", "--warmup", "1", "--batch-size", "2"],
    "verify": ["--steps", "2", "--seeds", "2", "--golden-clips", "2"],
}
SMALL["train"] += ["--validate-every", "2", "--validate-clips", "2"]
SMALL["verify"] += ["--warmup", "1", "--batch-size", "2"]
ON_CPU = ["--device", "cpu"]
WITHOUT = ("--dtype", "--sample-every", "--frames", "--plan")  # too large for a test


def blocks(page: Path, language: str | None = None) -> list[str]:
    found = BLOCK.findall(page.read_text(encoding="utf-8"))
    return [text for kind, text in found if language in (None, kind)]


def lines_of(block: str) -> list[str]:
    """Commands of a block, continued lines joined, comments out, variables filled."""
    joined = block.replace("\\\n", " ")
    for name, value in re.findall(r"^([A-Z]+)=(\S+)$", joined, re.MULTILINE):
        joined = joined.replace(f"${name}", value)
    parts = [part for line in joined.splitlines() for part in line.split(" && ")]
    return [part.strip() for part in parts if part.strip() and part.strip()[0] != "#"]


def command(line: str) -> tuple[str, list[str]] | None:
    """Name and arguments of a command of ours, None for another line."""
    found = re.search(r"(?:^tqd-probe |-m tqd_probe[. ])(\w+)(.*)$", line)
    if found is None:
        return None
    return found[1], shlex.split(found[2], comments=True)


def small(name: str, arguments: list[str]) -> list[str]:
    """Replace what makes a command long by the settings of `SMALL`."""
    replaced = {*SMALL[name][::2], *WITHOUT}
    kept: list[str] = []
    for option in re.split(r"\s(?=--)", " ".join(map(shlex.quote, arguments))):
        words = shlex.split(option)
        if words and words[0] not in replaced:
            kept += words
    return [*kept, *SMALL[name], *(ON_CPU if name != "score" else [])]


def slug(heading: str) -> str:
    """The anchor that code hosts and the site give a heading."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    return {slug(line.lstrip("# ")) for line in text.splitlines() if line[:1] == "#"}


def test_readme_is_short():
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 150


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_resolve(page):
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    for target in LINK.findall(text):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        if anchor and file.suffix == ".md":
            assert anchor in anchors(file), target


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_files_named_in_text_exist(page):
    """`tests/...py`, `python -m analyses....` and the like."""
    text = page.read_text(encoding="utf-8")
    for path in re.findall(
        r"\b(?:tests|analyses|figures|tqd_probe)/[\w/.-]+\.(?:py|json)\b", text
    ):
        assert (ROOT / path).exists(), path
    for module in re.findall(r"-m ((?:analyses|figures)(?:\.[a-z0-9_]+)+)", text):
        assert (ROOT / module.replace(".", "/")).with_suffix(".py").exists(), module


def test_every_page_is_reached_from_the_index():
    text = (DOCS / "index.md").read_text(encoding="utf-8")
    linked = {target.partition("#")[0] for target in LINK.findall(text)}
    assert {page.name for page in DOCS.glob("*.md")} - {"index.md"} <= linked


def test_severities_are_those_of_the_code():
    rows = (DOCS / "clips.md").read_text(encoding="utf-8").splitlines()
    for name, effect in EFFECTS.items():
        row = next((row for row in rows if row.startswith(f"| `{name}` (")), None)
        amounts = ["all" if a == float("inf") else f"{a:g}" for a in effect.amounts]
        if effect.kind == "control":
            assert row or "| `identity`, `reverse`" in "\n".join(rows)
        else:
            assert (
                f"| {', '.join(amounts)}: " in row or f"| {', '.join(amounts)}; " in row
            )


def test_every_dependency_has_its_reason():
    text = (DOCS / "dependencies.md").read_text(encoding="utf-8")
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    wanted = setup["options"]["install_requires"].splitlines()
    for extra in setup["options.extras_require"].values():
        wanted += extra.splitlines()
    for name in (re.split(r"[<>=\[]", line)[0] for line in wanted if line):
        assert re.search(rf"\b{re.escape(name)}\b", text), name


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_python_blocks_are_python(page):
    for block in blocks(page, "python"):
        compile(block, page.name, "exec")


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_commands_of_pages_parse(page):
    for line in (line for block in blocks(page) for line in lines_of(block)):
        known = command(line)
        if known is None or known[0] not in COMMANDS or "..." in line:
            continue
        name, arguments = known
        options = getattr(load_command(name), f"{name.capitalize()}Options")
        arguments = [text.split(">")[0] for text in arguments if text != ">"]
        parse(options, arguments, name)


@pytest.mark.long
@pytest.mark.parametrize(
    "page",
    [README, WALKTHROUGH, DOCS / "own_network.md"],
    ids=["readme", "walkthrough", "own network"],
)
def test_python_blocks_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in blocks(page, "python"):
        exec(compile(block, page.name, "exec"), names)


@pytest.fixture
def sixty_clips(tmp_path):
    """Folders as README has them, with fewer clips."""
    shape = ClipShape(frames=17, height=64, width=64, fps=16)
    degraded = ["blur:5"] * 3 + ["freeze:5"] * 3
    plan = {"clips": [""] * 4 + degraded, "golden": [""] * 8, "held_out": [""] * 2}
    index = 0
    for folder, kinds in plan.items():
        (tmp_path / folder).mkdir()
        for kind in kinds:
            clip = synthetic_clip(index, 7)
            video = clip.read(shape)
            if kind:
                video = parse_degradations(kind)[0].apply(clip, shape, 7)
            file = tmp_path / folder / f"clip-{index:02d}.mp4"
            write_video(file, video, shape.fps)
            file.with_suffix(".txt").write_text(clip.caption, encoding="utf-8")
            index += 1
    return tmp_path


@pytest.mark.long
def test_commands_of_readme_and_walkthrough_run(sixty_clips, monkeypatch, capsys):
    monkeypatch.chdir(sixty_clips)
    monkeypatch.setenv("CKPT", "tiny")
    done: set[tuple[str, ...]] = set()
    shell = [block for page in (README, WALKTHROUGH) for block in blocks(page, "bash")]
    for line in (line for block in shell for line in lines_of(block)):
        known = command(line)
        if known is None:
            if line not in done:
                subprocess.run(["bash", "-ec", line], check=True)
        else:
            name, arguments = known
            if name in SMALL:
                arguments = small(name, arguments)
            arguments = [text.replace("$CKPT", "tiny") for text in arguments]
            if (name, *arguments) not in done:
                code = main([name, *arguments])
                assert code == 0, (line, capsys.readouterr().err)
            done.add((name, *arguments))
        done.add((line,))
    check_files_are_described(sixty_clips)


def check_files_are_described(place: Path) -> None:
    """Compare what the commands wrote with the page that says what they write."""
    text = (DOCS / "files.md").read_text(encoding="utf-8")
    for run in (place / "runs").iterdir():
        for file in (path for path in run.rglob("*") if path.is_file()):
            parts = file.relative_to(run).parts
            known = any(part in text or f"{part}/" in text for part in parts)
            assert known or parts[0].startswith("."), file
    for file in ("bands.json", "gradsim.json"):
        for key in json.loads((place / "runs" / "probe" / file).read_text()):
            assert f"`{key}`" in text or f'"{key}"' in text, (file, key)


def test_messages_of_the_faq_are_in_the_code():
    source = "".join(p.read_text("utf-8") for p in ROOT.glob("tqd_probe/**/*.py"))
    source = re.sub(r'"\s+f?"', "", source)
    text = (DOCS / "faq.md").read_text(encoding="utf-8").split("## Questions")[0]
    messages = re.findall(r"^\| `([^`]+)`", text, re.MULTILINE)
    assert messages
    for message in messages:
        for part in re.split(r"\b[ABNTX]\b|\.\.\.", message):
            assert part.strip(" :;,") in source, message

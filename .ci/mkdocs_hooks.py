"""What the site needs beside the pages of ``tqd_probe/docs``.

The pages link to files of the repository by relative paths, as on a code host. The
studies (``analyses/**/README.md``) and figures become a part of the site; links to
other files, which have no page, become plain text.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
DOCS = "tqd_probe/docs"
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)")
STYLE = """
.md-grid { max-width: 74rem; }
.md-typeset pre > code { font-size: 0.62rem; }
.md-typeset .language-text pre > code { white-space: pre-wrap; }
"""
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the studies, the figures and a few rules of style.

    Args:
        files: The pages of ``tqd_probe/docs``.
        config: The site's configuration.

    Returns:
        The same with the rest.
    """
    studies = sorted(ROOT.glob("analyses/**/README.md"))
    for path in [*studies, *sorted(ROOT.glob("figures/*.png"))]:
        name = path.relative_to(ROOT).as_posix()
        files.append(File.generated(config, name, abs_src_path=str(path)))
    files.append(File.generated(config, "extra.css", content=STYLE))
    return files


def on_page_markdown(markdown: str, page: Page, files: Files, **_: object) -> str:
    """Point the links of a page at what the site has.

    Args:
        markdown: The page.
        page: Where it is.
        files: All files of the site.

    Returns:
        The page with links inside the site.
    """
    source = page.file.src_uri
    inside = source if source.startswith("analyses/") else f"{DOCS}/{source}"

    def pointed(match: re.Match[str]) -> str:
        mark, text, target = match.groups()
        path, _, anchor = target.partition("#")
        if "://" in target or not path:
            return match.group()
        found = posixpath.normpath(posixpath.join(posixpath.dirname(inside), path))
        name = found.removeprefix(f"{DOCS}/")
        if files.get_file_from_path(name) is None and (ROOT / found).exists():
            return text  # a file without a page
        here = posixpath.relpath(name, posixpath.dirname(source) or ".")
        return f"{mark}[{text}]({here}{'#' * bool(anchor)}{anchor})"

    parts, last = [], 0
    for fence in FENCE.finditer(markdown):
        parts += [LINK.sub(pointed, markdown[last : fence.start()]), fence.group()]
        last = fence.end()
    return "".join([*parts, LINK.sub(pointed, markdown[last:])])

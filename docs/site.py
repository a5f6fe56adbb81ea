"""What the site has beside the files of docs/: the README as its first page, and the notebooks."""

import logging
import pathlib
import posixpath
import re
from typing import Any

from mkdocs import plugins
from mkdocs.structure.files import File

log = logging.getLogger("mkdocs.hooks")
ROOT = pathlib.Path(__file__).resolve().parents[1]


@plugins.event_priority(100)  # before the plugin that takes over notebooks
def on_files(files: Any, config: Any) -> Any:
    """Adds them."""
    files.append(File.generated(config, "index.md", content=(ROOT / "README.md").read_text()))
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        name = str(path.relative_to(ROOT))
        files.append(File(name, str(ROOT), config.site_dir, config.use_directory_urls))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Links of the repository as links of the site; to what is not in it, text alone."""

    def link(found: re.Match[str]) -> str:
        text, target = found.groups()
        path = target.removeprefix("../").removeprefix("docs/")
        known = files.get_file_from_path(path.partition("#")[0])
        # The name of a file is of use in the repository; here it is a page with a title.
        text = known.page.title if known and known.page and text.endswith(".md") else text
        return f"[{text}]({path})" if known else text

    if page.file.src_uri == "index.md":
        return re.sub(r"\[([^\]]+)\]\((?!https?:)([^)#][^)]*)\)", link, markdown)
    return re.sub(r"\[([^\]]+)\]\((\.\./[^)]+|\w+\.md(?:#[^)]*)?)\)", link, markdown)


def on_page_content(html: str, page: Any, config: Any, files: Any) -> str:
    """The links of notebooks, which come as HTML; MkDocs itself checks those of Markdown alone."""

    def link(found: re.Match[str]) -> str:
        target, place = found.groups()
        path = posixpath.normpath(posixpath.join("notebooks", target)).removeprefix("docs/")
        known = files.get_file_from_path(path)
        if known is None:
            log.warning("%s links to %s, which is not in the site", page.file.src_uri, target)
            return found[0]
        return f'href="{known.url_relative_to(page.file)}{place or ""}"'

    if not page.file.src_uri.endswith(".ipynb"):
        return html
    return re.sub(r'href="(?!\w+:)([^"#]+\.(?:md|ipynb))(#[^"]*)?"', link, html)

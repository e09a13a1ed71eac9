"""Checks a built site: every link leads to a page and an anchor that are there, and nothing is loaded from elsewhere.

    python scripts/links.py build/site

The generator's own strict mode does not see links that leave the documentation's folder.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {"script", "img", "iframe", "source", "video", "audio"}
LINKS = {"stylesheet", "icon", "preload", "preconnect", "modulepreload"}


@dataclass
class Page(HTMLParser):
    """The anchors of a page, and what it names: (row, address, whether it is loaded with the page)."""

    path: Path
    anchors: set[str] = field(default_factory=set)
    names: list[tuple[int, str, bool]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if given.get(name)}
        address = given.get("src") or given.get("href")
        if address:
            loaded = tag in LOADED or (tag == "link" and bool(LINKS & set(given.get("rel", "").split())))
            self.names.append((self.getpos()[0], address, loaded))


def complaints(site: Path) -> Iterator[str]:
    """What is wrong with the links of a site."""
    pages = {path.resolve(): Page(path) for path in sorted(site.rglob("*.html"))}
    for page in pages.values():
        for row, address, loaded in page.names:
            problem = _problem(site, page, pages, address, loaded)
            if problem:
                yield f"{page.path.relative_to(site).as_posix()}:{row}: `{address}` {problem}"


def _problem(site: Path, page: Page, pages: dict[Path, Page], address: str, loaded: bool) -> str:
    parts = urlsplit(address)
    if parts.scheme or parts.netloc:
        return "is loaded from elsewhere" if loaded and parts.scheme != "data" else ""
    path = unquote(parts.path)
    target = (site / path.lstrip("/") if path.startswith("/") else page.path.parent / path).resolve() if path else page.path.resolve()
    if target.is_dir():
        target /= "index.html"
    if not target.is_relative_to(site.resolve()):
        return "leaves the site"
    if not target.is_file():
        return "is not there"
    anchor = unquote(parts.fragment)
    if anchor and target in pages and anchor not in pages[target].anchors:
        return "names an anchor that is not there"
    return ""


def main() -> int:
    if len(sys.argv) != 2 or not Path(sys.argv[1], "index.html").is_file():
        sys.exit("usage: python scripts/links.py SITE, a folder with an index.html")
    found = list(complaints(Path(sys.argv[1])))
    print("\n".join(found) if found else f"{sys.argv[1]}: all links lead somewhere")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())

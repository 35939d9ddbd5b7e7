"""Every link of every page leads to something that is there."""

import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, prose
from tests.e2e.server import ROOT

LINK = re.compile(r"\]\(<?([^)>\s]+)>?\)")
CODE = re.compile(r"`[^`\n]+`")


@cache
def anchors(page: Path) -> frozenset[str]:
    """The anchors of a page's headings, as code hosts make them."""
    seen: Counter[str] = Counter()
    found = set()
    for heading in re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        anchor = re.sub(r"[^\w -]", "", plain.lower()).replace(" ", "-")
        found.add(f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor)
        seen[anchor] += 1
    return frozenset(found)


def dead(page: Path) -> list[str]:
    """The links of a page that lead nowhere. Those to other hosts are not followed."""
    wrong = []
    for link in LINK.findall(CODE.sub("", prose(page))):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        leads = target.is_relative_to(ROOT) and target.exists()
        if not leads or (anchor and anchor not in anchors(target)):
            wrong.append(link)
    return wrong


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert dead(page) == []


def test_a_dead_link_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.docs.test_links.ROOT", tmp_path)
    page, other = tmp_path / "page.md", tmp_path / "other.md"
    other.write_text("# Once\n\n## Twice, `or` more\n\n## Once\n\n```sh\n# no heading\n```\n")
    page.write_text(
        "[a](other.md) [b](other.md#once) [c](other.md#once-1) [d](other.md#twice-or-more) [e](https://host/x.md)\n"
        "[f](none.md) [g](other.md#no-heading) [h](#here) [i](../outside.md) `[j](k.md)`\n"
    )

    assert dead(page) == ["none.md", "other.md#no-heading", "#here", "../outside.md"]


def test_every_page_is_linked_from_the_readme_or_from_a_page_that_is() -> None:
    reached, left = set(), [ROOT / "README.md"]
    while left:
        page = left.pop()
        reached.add(page)
        links = LINK.findall(prose(page))
        targets = {(page.parent / link.partition("#")[0]).resolve() for link in links if not link.startswith("#")}
        folders = {file for target in targets if target.is_dir() for file in target.glob("*.md")}
        left += [target for target in targets | folders if target in PAGES and target not in reached]

    assert set(PAGES) - reached == set()

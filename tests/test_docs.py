"""Documentation that is made from the code is what the code says; links lead somewhere."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_methods_page_is_up_to_date():
    generate = runpy.run_path(str(ROOT / "docs" / "generate_methods.py"))
    written = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    assert written.startswith(generate["page"]()), "run python docs/generate_methods.py"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert target.startswith("http") or (page.parent / target).exists(), target

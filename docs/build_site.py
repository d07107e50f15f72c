"""Makes a site of what is there: hooks of mkdocs for pages, an extension of griffe for docstrings; see mkdocs.yml.

README.md is the home page, and other pages of the root are pages, too. Their links, and those of docs/, are written for
a checkout; here they lead to the pages of the site, and one to a file that is no page becomes its text.
"""

import ast
import os.path
import re
from pathlib import Path

import griffe
from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
ROOT_PAGES = {"README.md": "index.md", **{name: name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")}}
_CODE = r"(?<!`)(?P<ticks>`+)(?!`).*?(?<!`)(?P=ticks)(?!`)"
_LINK = r"\[(?P<text>[^]]+)\]\((?!https?:|#)(?P<path>[^)#\s]+)(?P<anchor>#[^)]*)?\)"
_TO_CHANGE = re.compile(rf"{_CODE}|(?P<tag><)(?=\w)|{_LINK}", re.DOTALL)


def on_files(files, config):
    """mkdocs: add the pages that lie in the root."""
    for name, page in ROOT_PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown, page, files, **_):
    """mkdocs: the text of a page, for the site."""
    folder = "" if page.file.src_uri in ROOT_PAGES.values() else "docs"
    return for_site(markdown, folder, files.src_uris)


def for_site(text, folder, pages=()):
    """Links of a text in ``folder`` for the site of ``pages``; "<" is no HTML, for no page here has any."""
    def changed(match):
        if match["tag"]:
            return "&lt;"
        if not match["path"]:  # code
            return match[0]
        path = os.path.normpath(os.path.join(folder, match["path"])).replace(os.sep, "/")
        page = ROOT_PAGES.get(path, path.removeprefix("docs/"))
        if page in pages:
            return f"[{match['text']}]({page}{match['anchor'] or ''})"
        return match["text"] if (ROOT / path).exists() else match[0]  # mkdocs complains of that

    return _TO_CHANGE.sub(changed, text)


class PublicNames(griffe.Extension):
    """The names that ``ms_coreset`` imports when they are used, as members of it, and docstrings as Markdown."""

    def on_package(self, *, pkg, **_):
        homes = ast.literal_eval(str(pkg["_HOMES"].value))
        for home, names in homes.items():
            imports = pkg[home.removeprefix("ms_coreset.")].imports  # a function may have its module's name
            for name in names:
                pkg.set_member(name, griffe.Alias(name, imports.get(name, f"{home}.{name}")))

    def on_object(self, *, obj, **_):
        if obj.docstring:
            obj.docstring.value = for_site(obj.docstring.value, "ms_coreset")

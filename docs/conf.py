"""The site: Sphinx with MyST-NB. Pages stay Markdown, tutorials run in the build, docstrings are numpydoc."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE / "tools")]
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Kernels of tutorials are processes of their own: they import this checkout, and their folders are not in it.
os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"
warnings.filterwarnings("ignore", "The 'app' argument", DeprecationWarning)

import claims  # noqa: E402
import gallery  # noqa: E402
import pages  # noqa: E402

from eiplatform.version import __version__  # noqa: E402

project, author = "eiplatform", "the eiplatform developers"
copyright = f"{author}, BSD-3-Clause"  # noqa: A001
version = release = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "numpydoc",
    "sphinx.ext.viewcode",
    "sphinx_external_toc",
    "sphinx_copybutton",
]
external_toc_path = "_toc.yml"
exclude_patterns = ["_build", "tools"]
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence", "attrs_inline"]
nitpicky = False
suppress_warnings = ["mystnb.unknown_mime_type"]

nb_execution_mode = "cache"
nb_execution_cache_path = os.environ.get("EIPLATFORM_DOCS_CACHE", str(HERE / "_build" / "notebooks"))
nb_execution_timeout = 240
nb_execution_raise_on_error = True
nb_execution_in_temp = True
nb_merge_streams = True

autodoc_typehints = "none"  # numpydoc says the types in words
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

html_theme = "furo"
html_title = f"eiplatform {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#8a3b12", "color-brand-content": "#8a3b12"},
    "dark_css_variables": {"color-brand-primary": "#f2a477", "color-brand-content": "#f2a477"},
}
copybutton_exclude = ".linenos, .gp, .go"


def _folders(app: object, name: str, source: list[str]) -> None:
    """Lead links to folders, which a code host shows as lists of files, to the page of the folder."""
    for folder, page in pages.FOLDERS.items():
        for up in ("", "../"):
            source[0] = source[0].replace(f"]({up}{folder}/)", f"]({up}{page})")


def _bars(app: object, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """Keep bars of an absolute value: reStructuredText takes them for a substitution."""
    lines[:] = [line.replace("|", "\\|") if "|a" in line else line for line in lines]


def setup(app: object) -> None:
    """Write what is generated before pages are read."""
    made = HERE / "generated"
    pages.write(made)
    gallery.write(made)
    pages.put(made / "claims.md", claims.page())
    app.connect("source-read", _folders)  # type: ignore[attr-defined]
    app.connect("autodoc-process-docstring", _bars)  # type: ignore[attr-defined]

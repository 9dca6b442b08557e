"""Packages that are functions too: ``ei.figures(results, path)`` and ``eiplatform.figures.learning_curve``."""

from __future__ import annotations

import sys
from importlib import import_module
from inspect import getdoc, signature
from types import ModuleType
from typing import Any

__all__ = ["make_callable"]


def make_callable(package: str, home: str) -> None:
    """Let a package be called; the function of the same name in the module `home` does the work.

    Parameters
    ----------
    package : str
        Its ``__name__``.
    home : str
        Module, imported at the first call.
    """
    name, own = package.rpartition(".")[2], sys.modules[package].__doc__

    class Callable(ModuleType):
        @property
        def __wrapped__(self) -> Any:  # what help() and signatures show
            return getattr(import_module(home), name)

        @property
        def __doc__(self) -> str:  # type: ignore[override]  # what help() shows of a module
            function = self.__wrapped__
            return f"{name}{signature(function)}\n\n{getdoc(function)}\n\nAs a package: {own}"

        def __call__(self, *args: Any, **options: Any) -> Any:
            return self.__wrapped__(*args, **options)

    sys.modules[package].__class__ = Callable

"""Values in the texts of a study: ``{axis}``, ``{constant}``, and sums and products of whole numbers."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Mapping
from typing import Any

from eiplatform.errors import ConfigError

__all__ = ["filled"]

_HOLE = re.compile(r"\{([\w\s+*()-]+)\}")


_ARITHMETIC = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul}


def filled(value: Any, values: Mapping[str, Any], where: str) -> Any:
    """Put values into the texts of a step; a text that is nothing else takes their type."""
    if isinstance(value, dict):
        return {key: filled(item, values, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list):
        return [filled(item, values, where) for item in value]
    if not isinstance(value, str):
        return value
    whole = _HOLE.fullmatch(value)
    if whole:
        return _value(whole[1], values, where)
    return _HOLE.sub(lambda hole: str(_value(hole[1], values, where)), value)


def _value(text: str, values: Mapping[str, Any], where: str) -> Any:
    """Return what a text in braces stands for: the value of a name, or sums and products of whole numbers."""
    try:
        return _computed(ast.parse(text.strip(), mode="eval").body, values)
    except KeyError:
        raise ConfigError(
            f"'{{{text}}}' is not an axis that this step is taken over, or a constant",
            where=where,
            valid=list(values) or "none: the step has no 'over'",
        ) from None
    except (SyntaxError, TypeError, ValueError):
        raise ConfigError(
            f"'{{{text}}}' cannot be computed", where=where, valid="a name, or +, - and * of whole numbers and names"
        ) from None


def _computed(node: ast.expr, values: Mapping[str, Any]) -> Any:
    if isinstance(node, ast.Name):
        return values[node.id]
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return node.value
    if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
        left, right = _computed(node.left, values), _computed(node.right, values)
        if isinstance(left, int) and isinstance(right, int):
            return _ARITHMETIC[type(node.op)](left, right)
    raise ValueError("not a sum or product of whole numbers")

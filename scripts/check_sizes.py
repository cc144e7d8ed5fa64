"""Fails where a module is longer than 400 lines, or too many functions are longer than 50."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

MOST_MODULE_LINES = 400
MOST_FUNCTION_LINES = 50
LONG_FUNCTIONS_ALLOWED = 0.05


def main() -> int:
    """Print what is too long; 1 if anything is."""
    root = Path(__file__).parents[1] / "src"
    faults: list[str] = []
    functions = 0
    long: list[str] = []
    for path in sorted(root.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        lines = text.count("\n")
        if lines > MOST_MODULE_LINES:
            faults.append(f"{path.relative_to(root)}: {lines} lines, at most {MOST_MODULE_LINES}")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                functions += 1
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > MOST_FUNCTION_LINES:
                    long.append(f"{path.relative_to(root)}:{node.lineno} {node.name}: {length}")
    if len(long) > LONG_FUNCTIONS_ALLOWED * functions:
        faults.append(f"{len(long)} of {functions} functions are long:\n  " + "\n  ".join(long))
    print("\n".join(faults) or f"sizes: {functions} functions, {len(long)} longer than 50 lines")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

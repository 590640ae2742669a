"""The conditions of `where:` in a config: comparisons of columns with constants, and nothing else.

    entity13_part != "target" and not (class in [3, 7])

They are checked against a list of what is allowed before pandas evaluates them, since a config may come from elsewhere.
"""

import ast

import numpy as np

from glocal.errors import GlocalError

LONGEST = 5000  # characters
ALLOWED = (
    ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.Invert, ast.BinOp, ast.BitAnd, ast.BitOr,
    ast.Compare, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn, ast.Name, ast.Load, ast.List, ast.Tuple,
)  # fmt: skip
HELP = 'compare columns with numbers or texts, as in: part == "source" and class in [1, 2]'


def check(where: str, name: str = "where") -> set[str]:
    """The columns that a condition names. Raises GlocalError, which begins with `name`, for anything that is not allowed."""
    try:
        if len(where) > LONGEST:
            raise SyntaxError(f"longer than {LONGEST} characters")
        nodes = list(ast.walk(ast.parse(where.strip(), mode="eval")))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise _refused(name, where, f"cannot be read ({_reason(error)}); {HELP}") from None
    for node in nodes:
        if not (isinstance(node, ALLOWED) or (isinstance(node, ast.Constant) and type(node.value) in (int, float, str, bool))):
            raise _refused(name, where, f"uses {type(node).__name__}, which is not allowed; {HELP}")
    return {node.id for node in nodes if isinstance(node, ast.Name)}


def rows_where(rows, where: str, name: str) -> np.ndarray:
    """(n,) bool: the rows of a DataFrame for which the condition holds. Raises GlocalError if it cannot be evaluated."""
    known = ", ".join(map(str, rows.columns))
    if missing := check(where, name) - set(map(str, rows.columns)):
        raise _refused(name, where, f"names no column ({sorted(missing)[0]}); there are: {known}")
    try:
        mask = np.asarray(rows.eval(where, local_dict={}, global_dict={}))
    except Exception as error:
        raise _refused(name, where, f"does not work ({_reason(error)}); columns: {known}") from None
    if mask.dtype != bool or mask.shape != (len(rows),):
        raise _refused(name, where, f"is not true or false for each row; {HELP}")
    return mask


def _refused(name: str, where: str, why: str) -> GlocalError:
    where = " ".join(str(where).split())
    return GlocalError(f"{name}: the condition `{where if len(where) <= 120 else f'{where[:117]}...'}` {why}.")


def _reason(error: BaseException) -> str:
    return " ".join(str(error.args[0] if error.args else error).split()) or type(error).__name__

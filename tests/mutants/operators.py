"""What is changed: places in a syntax tree, and the tree with one of them changed."""

import ast
import copy

_COMPARED = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
             ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In}
_COMPUTED = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
             ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd}
_NAMES = {"min": "max", "max": "min", "minimum": "maximum", "maximum": "minimum", "argmin": "argmax",
          "argmax": "argmin", "zeros": "ones", "ones": "zeros", "floor": "ceil", "ceil": "floor", "any": "all",
          "all": "any", "sum": "mean", "mean": "sum", "sqrt": "square", "exp": "log", "flatnonzero": "argsort"}


def mutants(source):
    """(line, what is changed, changed tree) of every mutant of a module's source, in the order of its lines."""
    tree = ast.parse(source)
    nodes = list(ast.walk(tree))
    passed_over = {id(part) for node in nodes for part in _not_code(node)}
    found = []
    for place, node in enumerate(nodes):
        if id(node) in passed_over:
            continue
        for what, change in _changes(node):
            found.append((getattr(node, "lineno", 0), what, _change(tree, place, change)))
    return sorted(found, key=lambda one: (one[0], one[1]))


def _not_code(node):
    """What nothing depends on but words: annotations, docstrings, decorators, error messages, imports."""
    skipped = []
    if isinstance(node, ast.Raise | ast.Import | ast.ImportFrom | ast.JoinedStr):
        skipped.append(node)
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        skipped += node.decorator_list
    if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation:
        skipped.append(node.annotation)
    return [part for top in skipped for part in ast.walk(top)]


def _changes(node):
    """(what is changed, function that changes a copy of the node in place or returns another) of one node."""
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _COMPARED:
        other = _COMPARED[type(node.ops[0])]
        yield f"{_name(node.ops[0])} to {other.__name__}", lambda copied: copied.ops.__setitem__(0, other())
    if isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in _COMPUTED:
        other = _COMPUTED[type(node.op)]
        yield f"{_name(node.op)} to {other.__name__}", lambda copied: setattr(copied, "op", other())
    if isinstance(node, ast.BoolOp):
        other = ast.Or if isinstance(node.op, ast.And) else ast.And
        yield f"{_name(node.op)} to {other.__name__}", lambda copied: setattr(copied, "op", other())
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub | ast.Invert):
        yield f"{_name(node.op)} left out", lambda copied: copied.operand
    if isinstance(node, ast.If | ast.IfExp | ast.While):
        yield "condition turned round", lambda copied: setattr(copied, "test", ast.UnaryOp(ast.Not(), copied.test))
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield f"{node.value} to {not node.value}", lambda copied: setattr(copied, "value", not copied.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        yield f"{node.value} to {node.value + 1}", lambda copied: setattr(copied, "value", copied.value + 1)
    if isinstance(node, ast.Attribute) and node.attr in _NAMES:
        other_name = _NAMES[node.attr]
        yield f"{node.attr} to {other_name}", lambda copied: setattr(copied, "attr", other_name)
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in _NAMES:
        other_name = _NAMES[node.id]
        yield f"{node.id} to {other_name}", lambda copied: setattr(copied, "id", other_name)
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield "call left out", lambda copied: ast.Pass()
    if isinstance(node, ast.AugAssign):
        yield "assignment left out", lambda copied: ast.Pass()


def _name(operator):
    return type(operator).__name__


def _change(tree, place, change):
    """A function that makes a copy of ``tree`` with its node number ``place`` changed."""
    def make():
        copied = copy.deepcopy(tree)
        node = list(ast.walk(copied))[place]
        other = change(node)
        if other is not None:
            _replace(copied, node, other)
        return ast.fix_missing_locations(copied)
    return make


def _replace(tree, node, other):
    for parent in ast.walk(tree):
        for name, value in ast.iter_fields(parent):
            if value is node:
                setattr(parent, name, ast.copy_location(other, node))
            elif isinstance(value, list) and any(one is node for one in value):
                value[:] = [ast.copy_location(other, node) if one is node else one for one in value]

"""The graph of a torch.export program, judged as JSON: what its loader would evaluate, import or call.

The loader of torch 2.13 (`torch._export.serde.serialize`) evaluates the text of symbolic expressions,
imports modules that tree specifications name, looks operators up by dotted names, and generates Python
from the names of inputs. So each of these is held against a list here, wherever in the file it stands.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from typing import Any

_OPERATOR = re.compile(
    r"torch\.ops\.(aten|prims)\.(?P<op>\w+)\.\w+"
    r"|_operator\.(add|sub|mul|floordiv|truediv|mod|pow|neg|pos|eq|ne|lt|le|gt|ge|and_|or_|not_"
    r"|getitem|lshift|rshift)"
    r"|math\.(ceil|floor|trunc|sqrt|log|log2|exp|sin|cos|tan|pow)"
    r"|torch\.sym_\w+|torch\._sym_\w+|torch\._check\w*"
    r"|torch\.ops\.higher_order\.(cond|while_loop|map_impl|scan|associative_scan|wrap_with_autocast"
    r"|wrap_with_set_grad_enabled)"
)
_REFUSED_OPS = frozenset(
    {"from_file", "from_file_copy", "save", "set_source_Storage_storage_offset"}
)
"""Of aten: ops that take the name of a file, or place a tensor in a foreign storage."""
_NAME = re.compile(r"([A-Za-z_]\w{0,499})?")
_PATH = re.compile(r"[\w.\-]{0,500}")
_LABEL = re.compile(r"[\w.\-/ :]{0,500}")
_RANGE = re.compile(r"[\w*+/(), .\-]{1,500}")
_SYMBOL = re.compile(r"[A-Za-z_]\w{0,63}")
_SYMPY = (
    "Symbol Integer Float Rational Add Mul Pow Mod Max Min Abs Eq Ne Equality Unequality "
    "StrictLessThan StrictGreaterThan LessThan GreaterThan And Or Not true false floor ceiling "
    "FloorDiv ModularIndexing Where PythonMod CleanDiv CeilToInt FloorToInt CeilDiv LShift RShift "
    "PowByNatural FloatPow FloatTrueDiv IntTrueDiv TruncToFloat TruncToInt RoundToInt RoundDecimal "
    "ToFloat Identity IsNonOverlappingAndDenseIndicator Piecewise ExprCondPair int_oo"
)
_FUNCTIONS = frozenset(_SYMPY.split())
_POWERS = frozenset({"Pow", "PowByNatural", "FloatPow", "LShift"})
_MAX_EXPRESSION = 4096
_MAX_EXPONENT = 64
_TREES = re.compile(
    r"builtins\.(tuple|list|dict)|collections\.OrderedDict"
    r"|torch\.fx\.immutable_collections\.immutable_(list|dict)"
    r"|transformers\.(\w+\.)*\w+"
)
_MAPPINGS = frozenset(
    {"tensor_values", "sym_int_values", "sym_bool_values", "sym_float_values", "custom_obj_values"}
    | {"range_constraints", "opset_version", "metadata", "as_string_to_argument"}
)
_DOTTED = frozenset({"fqn", "parameter_name", "buffer_name", "tensor_constant_name"})


def findings(program: Any) -> list[str]:
    """What is unsafe in the JSON of an exported program, one line each; nothing is evaluated."""
    if not isinstance(program, dict):
        return ["its model.json is no JSON object"]
    found: dict[str, None] = {}
    for reason in _judge(program):
        found[reason] = None
        if len(found) >= 20:
            break
    return list(found)


def _judge(program: Any) -> Iterator[str]:
    stack: list[Any] = [program]
    while stack:
        value = stack.pop()
        if isinstance(value, list):
            stack.extend(value)
        elif isinstance(value, dict):
            for key, item in value.items():
                yield from _entry(key, item)
                # The keys of these mappings are the program's own names, not fields of the schema.
                own = key in _MAPPINGS and isinstance(item, dict)
                stack.extend(item.values() if own else [item])


def _entry(key: str, item: Any) -> Iterator[str]:
    if key in ("target", "as_operator") and isinstance(item, str):
        yield from _operator(item)
    elif key == "expr_str":
        yield from _expression(item)
    elif key == "guards_code":
        for guard in item if isinstance(item, list) else [item]:
            yield from _guard(guard)
    elif key in ("in_spec", "out_spec"):
        yield from _tree(item)
    elif key in ("name", "as_name") and item is not None and not _matches(_NAME, item):
        yield f"the name {item!r} is no identifier"
    elif key in _DOTTED and not _matches(_PATH, item):
        yield f"the name {item!r} is no dotted name"
    elif key == "forward_arg_names":
        yield from (
            f"the argument {n!r} is no identifier" for n in item or () if not _matches(_NAME, n)
        )
    elif key in ("tensor_values", "sym_int_values", "sym_bool_values", "sym_float_values"):
        yield from (
            f"the name {n!r} is no identifier" for n in item or () if not _matches(_NAME, n)
        )
    elif key == "range_constraints":
        yield from (f"the name {n!r} is no size" for n in item or () if not _matches(_RANGE, n))
    elif key in ("as_custom_obj", "custom_obj", "custom_obj_values", "class_fqn") and item:
        yield "it holds an object of a custom class"
    elif key == "treespec_namedtuple_fields" and item:
        yield "its inputs or outputs are of a class of their own (named tuple)"
    elif key in ("device", "as_device") and isinstance(item, dict) and item.get("type") != "cpu":
        yield f"it is bound to the device {item.get('type')!r}; export it on the CPU"


def _matches(pattern: re.Pattern[str], text: Any) -> bool:
    return isinstance(text, str) and pattern.fullmatch(text) is not None


def _operator(target: str) -> Iterator[str]:
    match = _OPERATOR.fullmatch(target)
    if match is None:
        yield f"op {target.removeprefix('torch.ops.')!r} is none of PyTorch's own (aten, prims)"
    elif match["op"] in _REFUSED_OPS:
        yield f"op {target.removeprefix('torch.ops.')!r} works on files or foreign memory"


def _tree(text: Any) -> Iterator[str]:
    """A specification of nested inputs or outputs (`torch.utils._pytree.treespec_dumps`)."""
    try:
        _, root = json.loads(text)
    except (TypeError, ValueError):
        yield "a tree specification is no JSON"
        return
    stack = [root]
    while stack:
        node = stack.pop()
        if not isinstance(node, dict) or not isinstance(node.get("children_spec"), list):
            yield "a tree specification is damaged"
            return
        stack.extend(node["children_spec"])
        if node.get("type") is None:
            continue
        if not _matches(_TREES, node["type"]):
            yield f"its inputs or outputs are of type {node['type']!r}; use tuples, lists and dicts"
        elif not _plain_keys(node.get("context")):
            yield f"the keys {node.get('context')!r} of its inputs or outputs are no plain names"


def _plain_keys(context: Any) -> bool:
    if context is None:
        return True
    try:
        keys = json.loads(context)
    except (TypeError, ValueError):
        return False
    if keys is None:
        return True
    return isinstance(keys, list) and all(type(k) is int or _matches(_LABEL, k) for k in keys)


def _parsed(text: Any) -> ast.expr | None:
    if not isinstance(text, str) or len(text) > _MAX_EXPRESSION:
        return None
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _expression(text: Any) -> Iterator[str]:
    """A size as sympy's `srepr` writes it: calls of known functions on symbols and numbers."""
    tree = _parsed(text)
    if tree is None or not _symbolic(tree):
        yield f"the size {str(text)[:80]!r} is no plain expression"


def _symbolic(tree: ast.expr) -> bool:
    bounded = any(isinstance(n, ast.Name) and n.id in _POWERS for n in ast.walk(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if not isinstance(node.func, ast.Name) or node.func.id not in _FUNCTIONS:
                return False
            if not all(k.arg and isinstance(k.value, ast.Constant) for k in node.keywords):
                return False
        elif isinstance(node, ast.Name):
            if node.id not in _FUNCTIONS and not re.fullmatch(r"[suzf]+\d{1,18}", node.id):
                return False
        elif isinstance(node, ast.Constant):
            value = node.value
            if isinstance(value, str):
                if not (_SYMBOL.fullmatch(value) or re.fullmatch(r"-?[\d.e+-]{1,40}", value)):
                    return False
            elif not isinstance(value, int | float) or abs(value) > (
                _MAX_EXPONENT if bounded else 2**63
            ):
                return False
        elif not isinstance(
            node,
            ast.keyword
            | ast.Load
            | ast.UnaryOp
            | ast.USub
            | ast.BinOp
            | ast.Add
            | ast.Sub
            | ast.Mult,
        ):
            return False
    return True


def _guard(text: Any) -> Iterator[str]:
    """A condition on sizes, such as `L['x'].size()[0] == L['y'].size()[0]`."""
    tree = _parsed(text)
    if tree is None or not all(map(_harmless, ast.walk(tree))):
        yield f"the guard {str(text)[:80]!r} is more than a comparison of sizes"


def _harmless(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        called = node.func
        name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
        return name in (
            "size",
            "stride",
            "storage_offset",
            "dim",
            "max",
            "min",
            "item",
            "isnan",
            "not_",
        )
    if isinstance(node, ast.Attribute):
        return not node.attr.startswith("_")
    if isinstance(node, ast.Name):
        return node.id in ("L", "max", "min", "math", "args", "kwargs")
    if isinstance(node, ast.Constant):
        return not isinstance(node.value, str) or bool(_PATH.fullmatch(node.value))
    return isinstance(
        node,
        ast.Compare
        | ast.cmpop
        | ast.BinOp
        | ast.operator
        | ast.UnaryOp
        | ast.unaryop
        | ast.BoolOp
        | ast.boolop
        | ast.Subscript
        | ast.expr_context,
    ) and not isinstance(node, ast.Pow)

"""Runs inside the sandboxes, after `_inside_wire.py`: values to plain data and back.

Numbers, texts, tuples and containers are built anew, of Python's own types. A container that one side handed over is
one thing to both: whoever changes it, the other sees it changed with the next message. Objects stay where they are and
get a number; a number whose last bit is a side's own was given out by that side.
"""

from __future__ import annotations

import builtins
import sys

from llmrouterbench.sandbox._inside_wire import Wire, from_json, to_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_LARGE = 1 << 63
_PLAIN = (type(None), bool, str, float)
_TYPES: dict[str, Any] = {name: kind for name, kind in vars(builtins).items() if isinstance(kind, type)} | {
    "NoneType": type(None)
}
_CONTAINERS = {
    **dict.fromkeys(("list", "dict", "set", "bytearray"), "builtins"),
    **dict.fromkeys(("deque", "Counter", "defaultdict", "OrderedDict"), "collections"),
    "array": "array",
    "ndarray": "numpy",
}
"""Types whose values both sides hold -> the module they are in."""
_BASES = (list, dict, set, bytearray)
_PARTS = {
    "Decimal": ("decimal", ""),
    "Fraction": ("fractions", "numerator denominator"),
    "date": ("datetime", "year month day"),
    "datetime": ("datetime", "year month day hour minute second microsecond tzinfo"),
    "time": ("datetime", "hour minute second microsecond tzinfo"),
    "timedelta": ("datetime", "days seconds microseconds"),
    "timezone": ("datetime", "utcoffset tzname"),
    "ZoneInfo": ("zoneinfo", "key"),
    "UUID": ("uuid", "hex"),
    "PosixPath": ("pathlib", ""),
    "PurePosixPath": ("pathlib", ""),
    "Pattern": ("re", "pattern flags"),
}
"""Types whose values are built anew -> their module, and the attributes they are built from ("": their text)."""
_VIEWS = {type(getattr({}, name)()): name for name in ("keys", "values", "items")}
_EXACT: dict[type, Callable[[Any], Any]] = {
    int: int.__int__,
    float: float.__float__,
    str: str.__str__,
    bytes: lambda value: bytes.fromhex(bytes.hex(value)),
    frozenset: lambda value: frozenset(frozenset.__iter__(value)),
    tuple: lambda value: tuple(tuple.__iter__(value)),
}
"""Python's own types -> what makes a value of a derived type one of them, whatever that type says of itself."""
_CALLED = {"function": "function", "method": "function", "generator": "generator", "coroutine": "coroutine"}
_BACKED = ("int", "str", "tuple")
_TEXTS = ("__str__", "__repr__", "__format__")
COMPARISONS = frozenset(f"__{name}__" for name in ["eq", "ne", "lt", "le", "gt", "ge"])
_OPERATORS = "add sub mul matmul truediv floordiv mod divmod pow lshift rshift and xor or"
ARITHMETIC = frozenset(f"__{left}{name}__" for name in _OPERATORS.split() for left in ("", "r", "i"))
_OTHERS = "call iter next len contains getitem setitem delitem reversed enter exit bool int float index complex abs neg"
_OTHERS += " pos invert round trunc floor ceil hash str repr format bytes"
SPECIAL = COMPARISONS | ARITHMETIC | {f"__{name}__" for name in _OTHERS.split()}
"""Special methods that one side may ask the other's objects for."""
FUNCTION, METHOD = type(lambda: 0), type(Wire(0, 0).hear)


def is_one_of(kind: type, module: str | None) -> bool:
    """Whether a type is the one of its name in a module, and none that only says so."""
    return module is not None and getattr(sys.modules.get(module), kind.__name__, None) is kind


def is_builtin(kind: type) -> bool:
    """Whether a type is one of Python's own."""
    return _TYPES.get(kind.__name__) is kind


def is_standard(module: str) -> bool:
    """Whether a module is of the standard library."""
    return module.partition(".")[0] in sys.stdlib_module_names


def container(thing: Any) -> str:
    """What a container is, whatever it is derived from; "" for what is no container."""
    kind = type(thing)
    if is_one_of(kind, _CONTAINERS.get(kind.__name__)):
        return kind.__name__
    return next((base.__name__ for base in _BASES if issubclass(kind, base)), "")


def manner(kind: type) -> str:
    """How objects of a class are shown to the other side.

    "flat" as a value of one of Python's own types; "int", "str" or "tuple" as an object that is one of these too
    (enumerations, named tuples); "error"; "function", "generator", "coroutine"; "object" for all others
    """
    enum, numbers, numpy = (sys.modules.get(name) for name in ("enum", "numbers", "numpy"))
    if issubclass(kind, BaseException):
        return "error"
    if enum is not None and issubclass(kind, enum.Enum):
        return next((base.__name__ for base in (int, str) if issubclass(kind, base)), "object")
    if issubclass(kind, tuple):
        return "tuple" if isinstance(getattr(kind, "_fields", None), tuple) else "flat"
    likes: Any = [getattr(numbers, "Real", int), getattr(numpy, "generic", int)]
    if issubclass(kind, (*_EXACT, *likes)):
        return "flat"
    return _CALLED.get(kind.__name__, "object") if kind.__module__ == "builtins" else "object"


def _defines(kind: type, name: str) -> bool:
    """Whether objects of a class have a special method that not everything has."""
    own = getattr(kind, name, None)
    return own is not None and (name in _TEXTS or own is not getattr(object, name, None))


def _parameters(value: Any) -> Any:
    """What a function's code says of its parameters; None for other callables."""
    function: Any = getattr(value, "__func__", value)
    if type(function) is not FUNCTION:
        return None
    code, skipped = function.__code__, int(type(value) is METHOD)
    starred = bool(code.co_flags & 4) + bool(code.co_flags & 8)
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + starred]
    counts = [code.co_posonlyargcount, code.co_argcount, code.co_kwonlyargcount, code.co_flags]
    return [list(names), skipped, *counts, len(function.__defaults__ or ()), sorted(function.__kwdefaults__ or ())]


def _taken_apart(value: Any, attributes: str) -> list[Any]:
    if not attributes:
        return [str(value)]
    if attributes.startswith("utcoffset"):
        return [value.utcoffset(None), value.tzname(None)]
    parts = [getattr(value, name) for name in attributes.split()]
    if attributes.endswith("tzinfo") and type(parts[-1]).__name__ not in ("NoneType", "timezone", "ZoneInfo"):
        offset = value.utcoffset()
        parts[-1] = None if offset is None else sys.modules["datetime"].timezone(offset)
    return parts


def _view(name: str, parts: list[Any]) -> Any:
    """A dict's view of that name with these parts in it."""
    held = dict(enumerate(parts)) if name == "values" else dict.fromkeys(parts) if name == "keys" else dict(parts)
    return getattr(held, name)()


class Codec:
    """Values to plain data and back, for one side; `side` is the last bit of the numbers it gives out."""

    def __init__(self, side: int) -> None:
        self.side, self._last = side, side
        self.things: dict[int, Any] = {}  # whatever has a number, of this side or of the other
        self.numbers: dict[int, int] = {}  # id of a thing -> its number; things live on, so that ids stay theirs
        self.texts: dict[int, str] = {}  # containers that both sides hold -> their content as last said or heard
        self._fresh: list[int] = []  # of them, those that the other side does not know yet
        self._gone: list[int] = []  # of them, those that the other side has let go
        self._classes: list[Any] = []  # descriptions to go with the next message

    # --- to plain data ---

    def pack(self, value: Any) -> Any:
        """A value as plain data."""
        kind = type(value)
        if kind in _PLAIN:
            return value
        if kind is int:
            return value if -_LARGE <= value < _LARGE else {"int": hex(value)}
        if (number := self.numbers.get(id(value))) is not None:
            return {"thing": number}
        if kind is tuple or kind is frozenset:
            return {kind.__name__: self._parts(list(value))}
        if container(value):
            number = self.show(value)
            self.texts[number] = ""
            self._fresh.append(number)
            return {"thing": number}
        return self._rare(value, kind)

    def _rare(self, value: Any, kind: Any) -> Any:
        if kind is bytes or kind is memoryview:
            return {"bytes": bytes(value).hex()}
        if kind is complex:
            return {"complex": [value.real, value.imag]}
        if kind is range or kind is slice:
            return {kind.__name__: [self.pack(part) for part in (value.start, value.stop, value.step)]}
        if kind in _VIEWS:
            return {_VIEWS[kind]: self._parts(list(value))}
        if value is Ellipsis or value is NotImplemented:
            return {"constant": repr(value)}
        if isinstance(value, type) and is_builtin(value):
            return {"type": value.__name__}
        if (named := self.name_of(value)) is not None:
            return {"name": named}
        if isinstance(value, type):
            return {"thing": self._class(value)}
        if is_one_of(kind, _PARTS.get(kind.__name__, (None,))[0]):
            return {kind.__name__: self._parts(_taken_apart(value, _PARTS[kind.__name__][1]))}
        how = manner(kind)
        if how == "flat":
            return self._flat(value)
        if how == "error":
            return self._error(value, kind)
        backing = self._flat(value) if how in _BACKED else _parameters(value) if how == "function" else None
        return {"new": [self.show(value), self._class(kind), backing]}

    def name_of(self, value: Any) -> list[str] | None:
        """[module, name] where the other side finds the very same thing; None for all others."""
        return None

    def show(self, thing: Any) -> int:
        """The number of a thing of this side that the other is told of."""
        self._last += 2
        self.things[self._last] = thing
        self.numbers[id(thing)] = self._last
        return self._last

    def _flat(self, value: Any) -> Any:
        """A value of a derived type, or one like a number, as one of Python's own types."""
        for base, exact in _EXACT.items():
            if issubclass(type(value), base):
                return self.pack(exact(value))
        numpy, numbers = sys.modules.get("numpy"), sys.modules.get("numbers")
        if numpy is not None and isinstance(value, numpy.generic):
            item = value.item()
            return self.pack(float(item) if isinstance(item, numpy.generic) else item)
        if numbers is not None and isinstance(value, numbers.Integral):
            return self.pack(int(value))
        if numbers is not None and isinstance(value, numbers.Rational):
            return {"Fraction": [self.pack(int(value.numerator)), self.pack(int(value.denominator))]}
        return self.pack(float(value))

    def _class(self, kind: type) -> int:
        """The number of a class; the other side is told of it with the next message."""
        if (number := self.numbers.get(id(kind))) is not None:
            return number
        how = manner(kind)
        told = [base for base in kind.__bases__ if is_builtin(base) or not is_standard(base.__module__)]
        bases = [self._base(base) for base in told if base is not object and how in ("error", "object")]
        special = [name for name in SPECIAL if _defines(kind, name)]
        number, fields = self.show(kind), list(getattr(kind, "__dataclass_fields__", ()))
        self._classes.append([number, kind.__module__, kind.__name__, bases, special, fields, how])
        return number

    def _base(self, base: type) -> Any:
        return {"type": base.__name__} if is_builtin(base) else {"thing": self._class(base)}

    def _error(self, error: BaseException, kind: type) -> Any:
        cause = error.__cause__ if isinstance(error.__cause__, Exception) else None
        error.__traceback__ = error.__context__ = None  # they hold on to whatever the frames held
        try:
            text = str.__str__(str(error))
        except Exception:
            text = ""
        given = [self.pack(part) for part in error.args]
        if is_builtin(kind):
            return {"error": [None, {"type": kind.__name__}, given, text, self.pack(cause), {}]}
        number, state = self.show(error), {str(name): self.pack(part) for name, part in vars(error).items()}
        return {"error": [number, self.pack(kind), given, text, self.pack(cause), state]}

    def written(self, message: dict[str, Any]) -> str:
        """A message as text, with the classes and containers that the other side must know for it."""
        for number in self._gone:
            self.drop(number)
        self._gone, self._fresh = [], []
        entries, known = [], list(self.texts)
        for number in known:
            kind, content = self._content(self.things[number])
            text = to_json(content)
            if text != self.texts[number]:
                self.texts[number] = text
                entries.append(f'[{number},"{kind}",{text}]')
            known += self._fresh  # those that were met within it
            self._fresh = []
        classes, self._classes = self._classes, []
        return f'{to_json(message)[:-1]},"classes":{to_json(classes)},"heap":[{",".join(entries)}]}}'

    def _content(self, thing: Any) -> tuple[str, Any]:
        kind = container(thing)
        if kind in ("list", "set"):
            return kind, self._parts(list(_TYPES[kind].__iter__(thing)))
        if kind == "bytearray":
            return kind, thing.hex()
        if kind in ("deque", "array"):
            return kind, [self._parts(list(thing)), thing.maxlen if kind == "deque" else thing.typecode]
        if kind == "ndarray":
            return kind, [self._parts(thing.ravel().tolist()), thing.dtype.str, list(thing.shape)]
        pairs = list(dict.items(thing))
        more = self.pack(thing.default_factory) if kind == "defaultdict" else None
        return kind, [self._parts([key for key, _ in pairs]), self._parts([part for _, part in pairs]), more]

    def _parts(self, parts: list[Any]) -> list[Any]:
        kinds = set(map(type, parts))
        if kinds <= set(_PLAIN) or (kinds == {int} and min(parts) >= -_LARGE and max(parts) < _LARGE):
            return parts
        return [self.pack(part) for part in parts]

    # --- back to values ---

    def unpack(self, said: Any) -> Any:
        """What `pack` made, as a value of this side."""
        if type(said) in _PLAIN or type(said) is int:
            return said
        ((tag, content),) = said.items()
        if tag == "thing":
            return self.things[content]
        if tag == "int":
            return int(content, 16)
        if tag == "bytes":
            return bytes.fromhex(content)
        if tag == "type":
            return _TYPES[content]
        if tag == "constant":
            return {"Ellipsis": Ellipsis, "NotImplemented": NotImplemented}[content]
        if tag == "name":
            return self.named(*content)
        if tag == "error":
            return self.new_error(*content)
        return self.new(*content) if tag == "new" else self._built(tag, list(map(self.unpack, content)))

    def _built(self, tag: str, parts: list[Any]) -> Any:
        if tag in ("tuple", "frozenset"):
            return _TYPES[tag](parts)
        if tag in _VIEWS.values():
            return _view(tag, parts)
        if tag in ("complex", "range", "slice"):
            return _TYPES[tag](*parts)
        made = getattr(__import__(_PARTS[tag][0]), "compile" if tag == "Pattern" else tag)
        return made(*parts)

    def read(self, text: str) -> Any:
        """A message, its classes and containers taken in."""
        message = from_json(text)
        for told in message.pop("classes"):
            self.mirror(*told)
        heap = message.pop("heap")
        for number, kind, content in heap:
            if number not in self.texts:
                self.keep(self.empty(kind, content), number)
        for number, kind, content in heap:
            self.texts[number] = to_json(content)
            self.fill(self.things[number], kind, content)
        self._gone = message.pop("gone", [])
        return message

    def keep(self, thing: Any, number: int) -> Any:
        """Take in a thing of the other side under its number."""
        if type(number) is not int or number & 1 == self.side or number in self.things:
            raise ValueError("a number must be new, and the other side's")
        self.things[number] = thing
        self.numbers[id(thing)] = number
        return thing

    def drop(self, number: int) -> None:
        """Let go of a container."""
        if self.texts.pop(number, None) is not None:
            del self.numbers[id(self.things.pop(number))]

    def empty(self, kind: str, content: Any) -> Any:
        """A container with nothing in it."""
        made = getattr(sys.modules.get(_CONTAINERS[kind]) or __import__(_CONTAINERS[kind]), kind)
        if kind == "deque":
            return made(maxlen=content[1])
        if kind == "array":
            return made(content[1])
        if kind == "ndarray":
            return sys.modules["numpy"].zeros(content[2], content[1])
        return made()

    def fill(self, thing: Any, kind: str, content: Any) -> None:
        """Give a container its content, in place."""
        if kind != container(thing):
            raise ValueError("a container must stay what it is")
        if kind == "bytearray":
            thing[:] = bytes.fromhex(content)
            return
        parts = list(map(self.unpack, content if kind in ("list", "set") else content[0]))
        if kind == "list":
            thing[:] = parts
        elif kind == "ndarray":
            thing[...] = sys.modules["numpy"].array(parts, thing.dtype).reshape(thing.shape)
        elif kind == "array":
            thing[:] = type(thing)(content[1], parts)
        elif kind == "deque":
            thing.clear()
            thing.extend(parts)
        elif kind == "set":
            thing.clear()
            thing.update(parts)
        else:
            values = list(map(self.unpack, content[1]))
            thing.clear()
            for key, value in zip(parts, values, strict=True):
                (dict if kind == "dict" else type(thing)).__setitem__(thing, key, value)
            if kind == "defaultdict":
                thing.default_factory = self.unpack(content[2])

    # --- what is no plain data ---

    def named(self, module: str, name: str) -> Any:
        """The thing of that name, where this side believes the other."""
        raise ValueError("a value must be plain")

    def mirror(self, number: int, module: str, name: str, bases: Any, special: Any, fields: Any, how: str) -> None:
        """Take in a class of the other side."""
        raise ValueError("a value must be plain")

    def new(self, number: int, of: int, backing: Any) -> Any:
        """Take in an object of the other side."""
        raise ValueError("a value must be plain")

    def new_error(self, number: int | None, kind: Any, given: Any, text: str, cause: Any, state: Any) -> Any:
        """Take in an exception of the other side."""
        raise ValueError("a value must be plain")

"""Damage for readers to meet: hypothesis draws what happens to bytes, to lines and fields, and to JSON."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import strategies as st

#: What stands in a text field, a key or a value where it should not.
TOKENS = (
    "", " ", "-1", "7", "255", "256", "999", "1e3", "0.5", "nan", "inf", "-0", "+1", "0x10", "1_0", "٣", "²",
    "é", "\0", "\t", '"', "'", "Training", "PublicTest", "happy", "emotion", "pixels", "9" * 25, "9" * 5000,
    "a" * 3000, "[" * 3000, "{", "}", "\r", "\n", "\x85", "\u2028", "\ufeff", "\x1b[2J", "../../x", "/",
    "2001-99-99",
)  # fmt: skip
#: Values of every JSON type, the extremes of each; the last three are nested deeper than Python recurses.
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 7, 2**31, 2**63, -(2**63) - 1, 10**400, 0.5, -0.0, 1e-320, 1e308,
    float("nan"), float("inf"), float("-inf"), "", "x", "\0", "\ud800", "é\u2028", "x" * 5000, "0", "1e3",
    "cpu", "val", [], {}, [None], [[]], [1, "2"], [0.5, 0.1], {"": None}, {"a": {"b": {}}}, ["x"] * 50,
    {"epoch": [1]}, [10**400],
)  # fmt: skip
#: Stands for text that `dump` writes where it is met, because `json.dumps` recurses itself.
DEEP = {"\x01deep list": "[" * 20_000 + "]" * 20_000, "\x01deep object": '{"a":' * 9000 + "1" + "}" * 9000,
        "\x01long number": "9" * 9000}  # fmt: skip

ENCODINGS = ("utf-16", "utf-8-sig", "latin-1", "utf-32", "cp037", "utf-7")


def _slice(draw: Any, length: int) -> tuple[int, int]:
    a = draw(st.integers(0, length))
    return a, min(length, a + draw(st.sampled_from((0, 1, 2, 5, 40, 1000))))


@st.composite
def damaged_bytes(draw: Any, content: bytes) -> bytes:
    """One to four injuries to bytes, wherever they fall."""
    data = bytearray(content)
    for _ in range(draw(st.sampled_from((1, 1, 2, 4)))):
        a, b = _slice(draw, len(data))
        kind = draw(
            st.sampled_from(("flip", "insert", "delete", "copy", "zero", "cut", "head", "end", "number"))
        )
        if kind == "flip" and data:
            data[a % len(data)] ^= 1 << draw(st.integers(0, 7))
        elif kind == "insert":
            data[a:a] = draw(st.binary(min_size=1, max_size=9))
        elif kind == "delete":
            del data[a:b]
        elif kind == "copy":
            data[a:a] = data[a:b] * draw(st.sampled_from((1, 2, 50)))
        elif kind == "zero":
            data[a:b] = draw(st.sampled_from((b"\0", b"\xff", b" ", b"\n"))) * (b - a)
        elif kind == "cut":
            del data[a:]
        elif kind == "head":  # most formats keep their sizes and offsets at the ends
            place = draw(st.integers(0, min(80, len(data))))
            data[place : place + 1] = draw(st.binary(max_size=4))
        elif kind == "end":
            place = max(0, len(data) - draw(st.integers(0, 120)))
            data[place : place + 1] = draw(st.binary(max_size=4))
        elif kind == "number":
            data[a : a + 4] = draw(st.sampled_from((0, 1, 2**31 - 1, 2**32 - 1, 65535))).to_bytes(4, "little")
    return bytes(data)


@st.composite
def damaged_table(draw: Any, content: bytes) -> bytes:
    """Injuries to the lines and fields of a comma-separated file, or to its bytes or encoding."""
    for _ in range(draw(st.sampled_from((1, 1, 2, 3)))):
        lines = content.split(b"\n")
        row = draw(st.integers(0, len(lines) - 1))
        kind = draw(
            st.sampled_from(
                (
                    "field",
                    "pixel",
                    "swap",
                    "double",
                    "drop",
                    "order",
                    "cut",
                    "comma",
                    "ends",
                    "code",
                    "blank",
                    "bytes",
                )
            )
        )
        fields = lines[row].split(b",")
        column = draw(st.integers(0, len(fields) - 1))
        token = draw(st.sampled_from(TOKENS)).encode("utf-8", "surrogatepass")
        if kind == "field":
            fields[column] = token
        elif kind == "pixel":
            longest = max(range(len(fields)), key=lambda place: len(fields[place]))
            numbers = fields[longest].split(b" ")
            wrong = draw(st.sampled_from((b"255", b"256", b"299", b"300", b"999", b"0255", b"1000", token)))
            numbers[draw(st.integers(0, len(numbers) - 1))] = wrong
            fields[longest] = b" ".join(numbers)
        elif kind == "swap":
            other = draw(st.integers(0, len(fields) - 1))
            fields[column], fields[other] = fields[other], fields[column]
        elif kind == "comma":
            kept = fields[: draw(st.sampled_from((0, 1, 2, 3, len(fields) // 2)))]
            fields = draw(st.sampled_from(([*fields, token], fields[:-1], kept)))
        lines[row] = b",".join(fields)
        if kind == "double":
            lines[row:row] = [lines[row]] * draw(st.sampled_from((1, 2, 9)))
        elif kind == "drop":
            del lines[row]
        elif kind == "order":
            lines = draw(st.permutations(lines))
        elif kind == "cut":
            lines[row] = lines[row][: draw(st.integers(0, len(lines[row])))]
        elif kind == "blank":
            lines[row:row] = [draw(st.sampled_from((b"", b" ", b"\r", b",,", b"\0", b"# note")))]
        content = (
            draw(st.sampled_from((b"\r\n", b"\r", b"\n\n", b"\0"))).join(lines)
            if kind == "ends"
            else b"\n".join(lines)
        )
        if kind == "code":
            content = content.decode("latin-1").encode(draw(st.sampled_from(ENCODINGS)), "replace")
        elif kind == "bytes":
            content = draw(damaged_bytes(content))
    return content


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of a JSON value and of its parts; of long lists, those of the first items."""
    found = [path]
    if isinstance(value, dict):
        for key in value:
            found += _places(value[key], (*path, key))
    elif isinstance(value, list):
        for index in range(min(3, len(value))):
            found += _places(value[index], (*path, index))
    return found


@st.composite
def damaged_json(draw: Any, value: Any, extra: tuple[Any, ...] = ()) -> Any:
    """A JSON value in which one to three parts have another type or value, are gone, doubled or wrapped."""
    value = copy.deepcopy(value)
    for _ in range(draw(st.sampled_from((1, 1, 1, 2, 3)))):
        path = draw(st.sampled_from(_places(value)))
        junk = copy.deepcopy(draw(st.sampled_from(VALUES + extra)))
        if not path:
            if draw(st.integers(0, 9)) == 0:
                value = junk
            continue
        parent = value
        for step in path[:-1]:
            parent = parent[step]
        last = path[-1]
        kind = draw(
            st.sampled_from(("value", "value", "value", "delete", "wrap", "rename", "add", "nudge", "swap"))
        )
        if kind == "value":
            parent[last] = junk
        elif kind == "delete":
            del parent[last]
        elif kind == "wrap":
            parent[last] = [parent[last]] if draw(st.booleans()) else {"": parent[last]}
        elif kind == "rename" and isinstance(parent, dict):
            parent[draw(st.sampled_from(TOKENS))] = parent.pop(last)
        elif kind == "add":
            if isinstance(parent, dict):
                parent[draw(st.sampled_from(TOKENS))] = junk
            else:
                parent.insert(last, junk)
        elif kind == "nudge" and isinstance(parent[last], int | float):
            parent[last] = draw(st.sampled_from((-1, 2, 1e6, 0.5))) * parent[last]
        elif kind == "swap":
            keys = list(parent) if isinstance(parent, dict) else range(len(parent))
            other = draw(st.sampled_from(list(keys)))
            parent[last], parent[other] = parent[other], parent[last]
    return value


@st.composite
def damaged_json_text(draw: Any, value: Any) -> bytes:
    """The bytes of a JSON file: another value, or the right one with injured bytes or encoding."""
    if draw(st.integers(0, 3)):
        value = draw(damaged_json(value, tuple(DEEP)))
        return dump(value).encode()
    text = dump(value)
    if draw(st.booleans()):
        return draw(damaged_bytes(text.encode()))
    return text.encode(draw(st.sampled_from(ENCODINGS)), "replace")


def dump(value: Any) -> str:
    """JSON text of a value, NaN and lone surrogates included, and with what `DEEP` stands for."""
    text = json.dumps(value)
    for mark, deep in DEEP.items():
        text = text.replace(json.dumps(mark), deep)
    return text

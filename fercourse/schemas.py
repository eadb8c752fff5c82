"""Records against their schemas, more strictly than JSON reads numbers."""

from __future__ import annotations

import functools
import json
import math
from importlib import resources
from typing import Any

from fercourse.errors import FercourseError, one_line


@functools.lru_cache(maxsize=4)
def _validator(schema_file: str) -> Any:
    import jsonschema

    schema = json.loads(resources.files("fercourse").joinpath(schema_file).read_text())

    # JSON has NaN and numbers of 400 digits, and 1.0 is a whole number to it; to readers of a record none is.
    def whole(_: Any, value: Any) -> bool:
        return type(value) is int and abs(value) < 2**63

    def number(_: Any, value: Any) -> bool:
        return whole(_, value) or (type(value) is float and math.isfinite(value))

    types = jsonschema.Draft202012Validator.TYPE_CHECKER.redefine_many({"integer": whole, "number": number})
    return jsonschema.validators.extend(jsonschema.Draft202012Validator, type_checker=types)(schema)


def check_schema(data: Any, schema_file: str, otherwise: str) -> None:
    """See to it that data follow a schema; numbers must be finite, and whole ones written as such.

    Args:
        schema_file: within the package, such as 'record.schema.json'.
        otherwise: how the message begins if they do not, such as 'x.json is not a record'.

    Raises:
        FercourseError: they do not; the message names the first place, and what is wrong there.
    """
    errors = _validator(schema_file).iter_errors(data)
    error = next(iter(sorted(errors, key=lambda e: list(map(str, e.path)))), None)
    if error is not None:
        where = one_line("/".join(map(str, error.path)) or "the whole")
        raise FercourseError(f"{otherwise}: {where}: {one_line(error.message)}.")

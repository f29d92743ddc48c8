"""What Schemathesis cannot know of this service."""

import json
import os
from typing import Any

import schemathesis
from schemathesis import Case, HookContext, SerializationContext

OWN_KEY_ID = os.environ["API_KEY"].split("_")[1]


@schemathesis.hook
def before_call(_: HookContext, case: Case[Any], __: dict[str, Any]) -> None:
    """Take a key that is not there for the one in use, which lists of keys name."""
    if (case.path_parameters or {}).get("key") == OWN_KEY_ID:
        case.path_parameters["key"] = "0" * 16


@schemathesis.serializer("application/x-ndjson")
def lines_of(_: SerializationContext, value: Any) -> bytes:
    """A sample a line."""
    return json.dumps(value).encode() + b"\n"

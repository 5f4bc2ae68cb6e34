"""A value with edits made: {at: path, put: value} or {at: path, drop: true}."""
import copy


def edited(base, *edits):
    value = copy.deepcopy(base)
    for edit in edits:
        *path, last = edit["at"]
        inner = value
        for step in path:
            inner = inner[step]
        if edit.get("drop"):
            del inner[last]
        else:
            inner[last] = copy.deepcopy(edit["put"])
    return value

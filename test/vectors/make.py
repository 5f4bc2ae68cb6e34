"""The shape of a vector file, and spoiling by edits.

{format, section, about, common?, base?, cases: [{name, valid, …input…, expect | reason}]}: `section` is that of SPEC.md;
`common` holds what every case needs; a case with `edits` is `base` with these edits made, each {at: path, put: value} or
{at: path, drop: true}; a case that is not valid says in `reason` what is wrong with it.
"""
import copy
import json


class Vectors:
    def __init__(self, format, section, about, common=None, base=None):
        self.format, self.cases = format, []
        self.head = {"format": format, "section": section, "about": about}
        if common is not None:
            self.head["common"] = common
        if base is not None:
            self.head["base"] = base

    def good(self, name, expect=None, **given):
        case = {"name": name, "valid": True, **given}
        if expect is not None:
            case["expect"] = expect
        self._add(case)

    def bad(self, name, reason, **given):
        self._add({"name": name, "valid": False, **given, "reason": reason})

    def _add(self, case):
        assert case["name"] not in {each["name"] for each in self.cases}, f"{self.format}: {case['name']} twice"
        self.cases.append(case)

    def text(self):
        return json.dumps({**self.head, "cases": self.cases}, indent=1) + "\n"


def put(*at, value):
    return {"at": list(at), "put": value}


def drop(*at):
    return {"at": list(at), "drop": True}


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

"""The shape of a vector file, and spoiling by edits.

{format, section, about, common?, base?, cases: [{name, valid, …input…, expect | reason}]}: `section` is that of SPEC.md;
`common` holds what every case needs; a case with `edits` is `base` with these edits made, each {at: path, put: value} or
{at: path, drop: true}; a case that is not valid says in `reason` what is wrong with it.
"""
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
        """One line a case, ASCII alone, so that every reader takes it."""
        head = "".join(f"{json.dumps(name)}: {json.dumps(value)},\n" for name, value in self.head.items())
        cases = ",\n".join(json.dumps(case) for case in self.cases)
        return "{\n" + head + '"cases": [\n' + cases + "\n]}\n"


def put(*at, value):
    return {"at": list(at), "put": value}


def drop(*at):
    return {"at": list(at), "drop": True}


def differences(base, value, *at):
    """The edits that make the one into the other, member by member."""
    if isinstance(base, dict) and isinstance(value, dict):
        edits = [drop(*at, name) for name in base if name not in value]
        for name in value:
            edits += differences(base[name], value[name], *at, name) if name in base else [put(*at, name, value=value[name])]
        return edits
    if isinstance(base, list) and isinstance(value, list) and len(base) == len(value):
        return [edit for i, each in enumerate(base) for edit in differences(each, value[i], *at, i)]
    return [] if type(base) is type(value) and base == value else [put(*at, value=value)]

"""Fills the examples of SPEC.md with what the vectors hold: one block a section, between two comments,

    <!-- vectors: format | case | member.member; format | … --> and <!-- end -->

`-` for the case means the file itself. Texts of more than 96 characters are cut and end in an ellipsis.
"""
import json
import re

EXAMPLES = re.compile(r"<!-- vectors: (.+?) -->\n.*?<!-- end -->", re.S)


def cut(value):
    if isinstance(value, str):
        return value if len(value) <= 96 or "\n" in value else value[:64] + "…"
    if isinstance(value, list):
        return [cut(each) for each in value]
    return {name: cut(each) for name, each in value.items()} if isinstance(value, dict) else value


def shown(value):
    value = cut(value)
    if isinstance(value, str):
        if "\r" in value:
            raise ValueError(f"a reader cannot see a carriage return: {value!r}")
        return value.rstrip("\n")
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def example(entry, files):
    of, case, path = entry.split(" | ")
    value = files[of]
    if case != "-":
        value = next(each for each in value["cases"] if each["name"] == case)
    for step in path.split("."):
        value = value[step]
    return f"# {of}.json, {path if case == '-' else f'“{case}”, {path}'}\n{shown(value)}\n"


def filled(spec, files):
    """`files` holds what each format's file says, by name."""

    def block(found):
        entries = "".join(example(entry, files) for entry in found[1].split("; "))
        return f"<!-- vectors: {found[1]} -->\n```\n{entries}```\n<!-- end -->"

    return EXAMPLES.sub(block, spec)

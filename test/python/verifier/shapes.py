"""The forms that members take (SPEC.md, "Conventions"). A form is a function that refuses every other value."""
import re

from .encodings import GREATEST, Refused, ensure, unbase64url, unhex


def text(most):
    def form(value):
        ensure(isinstance(value, str) and len(value.encode("utf-16-le")) // 2 <= most, f"text of at most {most}")

    return form


def pattern(expression):
    compiled = re.compile(expression)

    def form(value):
        ensure(isinstance(value, str) and compiled.fullmatch(value), f"must be {expression}")

    return form


name = pattern(r"[a-z0-9][a-z0-9._-]{0,63}")
big = pattern(r"0|[1-9][0-9]{0,19}")


def hexed(size):
    def form(value):
        ensure(isinstance(value, str), "must be text")
        unhex(value, size)

    return form


digest = hexed(32)
ident = hexed(16)


def encoded(most, exactly=None):
    def form(value):
        ensure(isinstance(value, str), "must be text")
        size = len(unbase64url(value))
        ensure(size <= most and exactly in (None, size), "another number of bytes")

    return form


def exactly(size):
    return encoded(size, size)


def integer(least=0, most=GREATEST):
    def form(value):
        ensure(type(value) is int and least <= value <= most, f"integer from {least} to {most}")

    return form


def boolean(value):
    ensure(type(value) is bool, "true or false")


def word(*words):
    def form(value):
        ensure(any(type(value) is type(each) and value == each for each in words), f"one of {words}")

    return form


def listing(item, least=0, most=None):
    def form(value):
        ensure(isinstance(value, list) and len(value) >= least, "a list, not so short")
        ensure(most is None or len(value) <= most, "a list, not so long")
        for each in value:
            item(each)

    return form


class Maybe:
    """A member that may be absent."""

    def __init__(self, form):
        self.form = form


def record(**members):
    # Python's own words cannot name an argument as they stand.
    members = {each.rstrip("_"): form for each, form in members.items()}

    def form(value):
        ensure(isinstance(value, dict), "an object")
        for each in value:
            ensure(each in members, f"unknown member {each}")
        for each, inner in members.items():
            if each in value:
                try:
                    (inner.form if isinstance(inner, Maybe) else inner)(value[each])
                except Refused as refused:
                    raise Refused(f"{each}: {refused}") from None
            else:
                ensure(isinstance(inner, Maybe), f"{each} is missing")

    return form


def by(member, **forms):
    """A record whose form the value of one member names."""

    def form(value):
        ensure(isinstance(value, dict) and value.get(member) in forms, f"unknown {member}")
        forms[value[member]](value)

    return form

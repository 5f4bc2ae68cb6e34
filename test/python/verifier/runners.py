"""What each format of protocol/vectors/ is run through: a function of a case and its file."""
from . import wire
from .encodings import parse_canonical, unbase64url, unhex


def _json(case, _):
    if "deep" in case:
        parse_canonical(b"[" * case["deep"] + b"]" * case["deep"])
        return None
    return {"value": parse_canonical(bytes.fromhex(case["hex"]) if "hex" in case else case["text"].encode())}


def _encoding(case, _):
    read = (lambda text: unhex(text, 32)) if case["encoding"] == "digest" else unbase64url
    return {"bytes": read(case["text"]).hex()}


def _splice(case, _):
    if case["operation"] == "splice":
        return {"spliced": wire.splice(case["answer"].encode(), case["receipt"]).decode()}
    answer, receipt = wire.unsplice(case["spliced"].encode())
    return {"answer": answer.decode(), "receipt": receipt}


RUNNERS = {"json": _json, "encoding": _encoding, "splice": _splice}

"""An event stream with a receipt in it (SPEC.md, "Plain door")."""
import re

from .encodings import ensure

BEAT = b": sealed\n\n"
CHUNK = b'data: {"choices":[],"object":"chat.completion.chunk","receipt":"'
COMMENT = b"\n\n: sealed-receipt "
MARK = b"data: [DONE]"
MAX_END = 32


def _mark(stream):
    """Where the first line begins that begins with the end mark; None where none does."""
    at = 0 if stream.startswith(MARK) else stream.find(b"\n" + MARK) + 1
    return at if stream.startswith(MARK, at) else None


def splice(stream, receipt):
    ensure(not stream.startswith(b": sealed") and b"\n: sealed" not in stream, "a line that only a gateway writes")
    ensure(CHUNK not in stream, "a chunk that only a gateway writes")
    at = _mark(stream)
    if at is None:
        return stream + COMMENT + receipt.encode() + b"\n\n"
    ensure(len(stream) - at <= MAX_END, "the stream goes on after its end mark")
    return stream[:at] + CHUNK + receipt.encode() + b'"}\n\n' + stream[at:]


def unsplice(spliced):
    """The stream without receipt and heartbeats, and the receipt."""
    chunk = re.search(re.escape(CHUNK) + rb'([A-Za-z0-9_-]+)"}\n\n(?=' + re.escape(MARK) + b")", spliced)
    found = chunk or re.search(re.escape(COMMENT) + rb"([A-Za-z0-9_-]+)\n\n\Z", spliced)
    ensure(found, "no receipt is spliced in")
    parts = [spliced[: found.start()], spliced[found.end() :]]
    out, rest = b"", parts[0]
    while rest:
        if rest.startswith(BEAT) and (not out or out.endswith(b"\n\n")):
            rest = rest[len(BEAT) :]
            continue
        step = rest.find(b"\n\n")
        step = len(rest) if step < 0 else step + 2
        out, rest = out + rest[:step], rest[step:]
    return out + parts[1], found[1].decode()

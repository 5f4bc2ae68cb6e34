"""Vectors of the event stream with a receipt."""

from make import Vectors

RECEIPT = "AAEC"
BEAT = ": sealed\n\n"
CHUNK = 'data: {"choices":[],"object":"chat.completion.chunk","receipt":"AAEC"}\n\n'
COMMENT = "\n\n: sealed-receipt AAEC\n\n"
DONE = "data: [DONE]\n\n"
ONE, TWO, CRLF = 'data: {"a":1}\n\n', "data: é\n\n", "data: é\r\n\r\n"


def vectors():
    v = Vectors(
        "event_splice", "Plain door",
        "`splice`: a receipt put into a whole stream; `unsplice`: stream and receipt taken apart again.",
    )
    for name, before, end in (
        ("two events and the mark", ONE + TWO, DONE),
        ("the mark alone", "", DONE),
        ("a mark without its blank line", ONE, "data: [DONE]"),
        ("a mark of other line ends", ONE + CRLF, "data: [DONE]\r\n\r\n"),
        ("a mark and a comment of 32 bytes in all", ONE, "data: [DONE]\n\n: as they like it\n"),
        ("no mark", ONE + "event: done\ndata: {}\n\n", None),
        ("no mark and no line end", ONE + "data: x", None),
        ("a mark inside a line", ONE + ": data: [DONE]\n\n", None),
        ("a mark spelled otherwise", ONE + "data:[DONE]\n\n", None),
        ("a mark after a lone carriage return", ONE + "x\rdata: [DONE]\n\n", None),
        ("our words inside its data", 'data: ": sealed\\n\\n" receipt":"\n\n', DONE),
        ("an empty stream", "", None),
    ):
        stream = before + (end or "")
        spliced = stream + COMMENT if end is None else before + CHUNK + end
        v.good(f"into {name}", operation="splice", stream=stream, receipt=RECEIPT, expect={"spliced": spliced})
        v.good(f"out of {name}", operation="unsplice", spliced=spliced, expect={"stream": stream, "receipt": RECEIPT})
    for name, spliced, stream in (
        ("before the first event", BEAT + ONE + CHUNK + DONE, ONE + DONE),
        ("between all events", BEAT * 2 + ONE + BEAT + ONE + BEAT * 3 + CHUNK + DONE, ONE + ONE + DONE),
        ("before a comment's receipt", ONE + BEAT + COMMENT, ONE),
        ("nowhere, as one line feed stands before it", "data: 1\n" + BEAT + CHUNK + DONE, "data: 1\n" + BEAT + DONE),
    ):
        v.good(
            f"heartbeats {name}", operation="unsplice", spliced=spliced,
            expect={"stream": stream, "receipt": RECEIPT},
        )
    for name, stream, reason in (
        ("a heartbeat of the workload's own", BEAT + ONE + DONE, "only a gateway writes this line"),
        ("a heartbeat after an event", ONE + BEAT + DONE, "only a gateway writes this line"),
        ("a comment that begins like ours", ONE + ": sealed?\n\n" + DONE, "only a gateway writes this line"),
        ("a chunk of ours", ONE + CHUNK + DONE, "only a gateway writes this chunk"),
        ("a chunk of ours inside a line", ONE + "x" + CHUNK + DONE, "only a gateway writes this chunk"),
        ("a comment with a receipt", ONE + COMMENT, "only a gateway writes this line"),
        ("more than 32 bytes from the mark on", ONE + DONE + ": as they like it!\n", "no end mark"),
    ):
        v.bad(f"into {name}", reason, operation="splice", stream=stream, receipt=RECEIPT)
    for name, spliced, reason in (
        ("no receipt", ONE + DONE, "nothing spliced in"),
        ("nothing", "", "nothing spliced in"),
        ("a chunk that no mark follows", ONE + CHUNK, "no end mark"),
        ("a chunk before an event", ONE + CHUNK + ONE + DONE, "not directly before the end mark"),
        ("a receipt in another alphabet", ONE + CHUNK.replace(RECEIPT, "AA==") + DONE, "no base64url"),
        ("an empty receipt", ONE + CHUNK.replace(RECEIPT, "") + DONE, "no receipt"),
        ("a comment that is not last", ONE + COMMENT + ONE, "not at the end"),
        ("a comment without a blank line before it", "data: 1" + COMMENT[1:], "another spelling"),
    ):
        v.bad(f"out of {name}", reason, operation="unsplice", spliced=spliced)
    return [v]

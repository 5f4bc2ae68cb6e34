"""Vectors of what every other format is made of: canonical JSON and the spellings of bytes; and the splice."""
from make import Vectors
from verifier.encodings import canonical


def json_vectors():
    v = Vectors(
        "json", "Conventions", "Texts that a reader of canonical JSON accepts as `expect`, or refuses. Text as `text`, or "
        "as `hex` where it is no UTF-8. `deep` stands for that many arrays in one another.",
    )
    good = {
        "null": None, "true": True, "zero": 0, "negative": -17, "the greatest integer": 2**53 - 1,
        "the least integer": 1 - 2**53, "empty text": "", "empty object": {}, "empty array": [],
        "members in order": {"a": 1, "a1": 2, "a_b": 3, "ab": 4, "b": {"c": [], "d": [1, [2, {"e": None}]]}},
        "short escapes": "\b\t\n\f\r\"\\", "other control characters": "\0\x01\x1f", "no other escapes": "/\x7f\u2028\u2029é",
        "a character beyond 16 bits": "\U0001f512", "not normalised": "e\u0301",
    }
    for name, value in good.items():
        v.good(name, text=canonical(value).decode(), expect={"value": value})
    v.good("32 levels", deep=32)
    v.bad("33 levels", "nested too deep", deep=33)
    v.bad("100,000 levels", "nested too deep, and a reader must not run out of stack", deep=100000)
    for name, text, reason in (
        ("nothing", "", "no value"),
        ("white space before", " 1", "white space"),
        ("white space after", "1\n", "white space"),
        ("white space within", '{"a": 1}', "white space"),
        ("a value after the value", "1 2", "trailing text"),
        ("byte order mark", "\ufeff1", "a mark before the value"),
        ("members out of order", '{"b":1,"a":2}', "order"),
        ("underscore sorts after digits", '{"a_":1,"a0":2}', "order is that of code units"),
        ("a member twice", '{"a":1,"a":1}', "duplicate member"),
        ("a member twice, other value", '{"a":1,"a":2}', "duplicate member"),
        ("a member spelled by an escape", '{"\\u0061":1}', "escape with another spelling"),
        ("duplicate through an escape", '{"a":1,"\\u0061":1}', "duplicate member"),
        ("upper-case name", '{"A":1}', "member name"),
        ("name that begins with a digit", '{"1a":1}', "member name"),
        ("__proto__", '{"__proto__":1}', "member name"),
        ("empty name", '{"":1}', "member name"),
        ("name with a hyphen", '{"a-b":1}', "member name"),
        ("name with a line feed", '{"a\\n":1}', "member name"),
        ("fraction", "1.5", "no integer"),
        ("integer as fraction", "1.0", "no integer"),
        ("exponent", "1e0", "no integer"),
        ("negative zero", "-0", "another spelling of 0"),
        ("leading zero", "01", "not JSON"),
        ("plus sign", "+1", "not JSON"),
        ("hexadecimal", "0x1", "not JSON"),
        ("2 to the 53rd", "9007199254740992", "number out of range"),
        ("minus 2 to the 53rd", "-9007199254740992", "number out of range"),
        ("a number that rounds to a safe one", "9007199254740991.4", "no integer"),
        ("NaN", "NaN", "not JSON"),
        ("Infinity", "Infinity", "not JSON"),
        ("escaped slash", '"\\/"', "escape with another spelling"),
        ("escaped letter", '"\\u00e9"', "escape with another spelling"),
        ("upper-case escape", '"\\u001F"', "escape with another spelling"),
        ("long escape where there is a short one", '"\\u000a"', "escape with another spelling"),
        ("bare control character", '"\t"', "not JSON"),
        ("lone surrogate", '"\\ud800"', "no text"),
        ("surrogates in the wrong order", '"\\udd12\\ud83d"', "no text"),
        ("surrogate pair by escapes", '"\\ud83d\\udd12"', "escape with another spelling"),
        ("single quotes", "{'a':1}", "not JSON"),
        ("comment", "1/**/", "not JSON"),
        ("trailing comma in an array", "[1,]", "not JSON"),
        ("trailing comma in an object", '{"a":1,}', "not JSON"),
        ("unclosed array", "[1", "not JSON"),
        ("unclosed text", '"a', "not JSON"),
        ("upper-case literal", "True", "not JSON"),
        ("undefined", "undefined", "not JSON"),
    ):
        v.bad(name, reason, text=text)
    for name, octets, reason in (
        ("overlong slash", "22c0af22", "not UTF-8"),
        ("surrogate in UTF-8", "22eda08022", "not UTF-8"),
        ("cut sequence", "22c322", "not UTF-8"),
        ("beyond Unicode", "22f490808022", "not UTF-8"),
        ("UTF-16", "feff0031", "not UTF-8"),
        ("zero byte after", "3100", "trailing byte"),
    ):
        v.bad(name, reason, hex=octets)
    return v


def encoding_vectors():
    v = Vectors("encoding", "Conventions", "Spellings of bytes: `base64url`, or `digest` (32 bytes in hex); `expect` is hex.")
    for size, text in enumerate(("", "AA", "AAE", "AAEC", "AAECAw")):
        v.good(f"base64url of {size} bytes", encoding="base64url", text=text, expect={"bytes": bytes(range(size)).hex()})
    v.good("base64url with both odd digits", encoding="base64url", text="-_-_", expect={"bytes": "fbffbf"})
    whole = bytes(range(0, 256, 8))
    v.good("a digest", encoding="digest", text=whole.hex(), expect={"bytes": whole.hex()})
    for name, text, reason in (
        ("padded", "AA==", "padding"),
        ("half padded", "AAE=", "padding"),
        ("one digit", "A", "no whole byte"),
        ("five digits", "AAAAA", "no whole byte"),
        ("stray bits, one byte", "AB", "bits that stand for nothing"),
        ("stray bits, two bytes", "AAF", "bits that stand for nothing"),
        ("plus", "+_-_", "other alphabet"),
        ("slash", "-/-_", "other alphabet"),
        ("line feed after", "AAEC\n", "other alphabet"),
        ("space within", "AA EC", "other alphabet"),
        ("zero character", "AA\0C", "other alphabet"),
        ("a letter outside ASCII", "AAÉC", "other alphabet"),
    ):
        v.bad(f"base64url, {name}", reason, encoding="base64url", text=text)
    for name, text, reason in (
        ("upper case", whole.hex().upper(), "case"),
        ("one letter in upper case", whole.hex().replace("f8", "F8"), "case"),
        ("0x before", "0x" + whole.hex()[2:], "other alphabet"),
        ("31 bytes", whole.hex()[2:], "width"),
        ("33 bytes", whole.hex() + "00", "width"),
        ("odd number of digits", whole.hex()[1:], "width"),
        ("nothing", "", "width"),
        ("line feed after", whole.hex() + "\n", "other alphabet"),
        ("space before", " " + whole.hex(), "other alphabet"),
        ("full-width digits", "\uff10" * 64, "other alphabet"),
    ):
        v.bad(f"digest, {name}", reason, encoding="digest", text=text)
    return v


def splice_vectors():
    v = Vectors(
        "splice", "Plain door", "`splice`: a receipt put into an answer; `unsplice`: answer and receipt taken apart again.",
    )
    for name, answer in (
        ("one member", '{"a":1}'),
        ("white space around", ' {"a":1 }\r\n\t '),
        ("nested objects", '{"a":{"receipt":"inner"},"b":[{}]}'),
        ("a text that looks like a splice", '{"a":",\\"receipt\\":\\"x\\"}"}'),
        ("floats and duplicates are the workload's", '{"a":1.50,"a":1e3}'),
        ("text outside ASCII", '{"a":"é🔒"}'),
    ):
        end = answer.rindex("}")
        spliced = answer[:end] + ',"receipt":"AAEC"' + answer[end:]
        v.good(f"into {name}", operation="splice", answer=answer, receipt="AAEC", expect={"spliced": spliced})
        v.good(f"out of {name}", operation="unsplice", spliced=spliced, expect={"answer": answer, "receipt": "AAEC"})
    for name, answer, reason in (
        ("array", "[1]", "no object"),
        ("text", '"a"', "no object"),
        ("empty object", "{}", "no member to follow"),
        ("not JSON", '{"a":1', "not JSON"),
        ("a receipt of the workload's own", '{"a":1,"receipt":"x"}', "only a gateway writes this member"),
        ("a receipt by an escape", '{"\\u0072eceipt":1}', "only a gateway writes this member"),
    ):
        v.bad(f"into {name}", reason, operation="splice", answer=answer, receipt="AAEC")
    for name, spliced, reason in (
        ("no receipt", '{"a":1}', "nothing spliced in"),
        ("white space in the splice", '{"a":1, "receipt":"AAEC"}', "another spelling"),
        ("white space before the brace", '{"a":1,"receipt":"AAEC" }', "another spelling"),
        ("a receipt that is not last", '{"a":1,"receipt":"AAEC","b":2}', "not last"),
        ("an empty receipt", '{"a":1,"receipt":""}', "no receipt"),
        ("a receipt in another alphabet", '{"a":1,"receipt":"AA=="}', "no base64url"),
        ("a receipt first", '{"receipt":"AAEC"}', "no comma before it"),
        ("text after the brace", '{"a":1,"receipt":"AAEC"}x', "trailing text"),
    ):
        v.bad(f"out of {name}", reason, operation="unsplice", spliced=spliced)
    return v


def vectors():
    return [json_vectors(), encoding_vectors(), splice_vectors()]

"""Where a machine of Google's runs, as the certificate of its attestation key says (SPEC.md, "Attestation key")."""
import re

from .encodings import Refused, ensure, sha256

NAME = re.compile(r"[a-z0-9]([a-z0-9.:-]{0,61}[a-z0-9])?")


class Der:
    """Reads DER values one after another; lengths have one spelling."""

    def __init__(self, data):
        self.data = data

    def next(self, tag):
        ensure(len(self.data) >= 2 and self.data[0] == tag, "another DER value")
        size, at = self.data[1], 2
        if size >= 0x80:
            width = size & 0x7F
            ensure(1 <= width <= 2 and len(self.data) >= 2 + width, "DER length")
            size, at = int.from_bytes(self.data[2 : 2 + width], "big"), 2 + width
            ensure(size >= 0x80 and (width == 1 or size > 0xFF), "DER length, spelled too long")
        ensure(len(self.data) >= at + size, "DER cut short")
        content, self.data = self.data[at : at + size], self.data[at + size :]
        return content

    def text(self):
        try:
            text = self.next(0x0C).decode()
        except UnicodeDecodeError:
            raise Refused("no UTF-8") from None
        ensure(NAME.fullmatch(text), "no name")
        return text

    def unsigned(self):
        content = self.next(0x02)
        ensure(content and content[0] < 0x80, "a negative number, or none")
        ensure(len(content) == 1 or content[0] or content[1] >= 0x80, "a number, spelled too long")
        ensure(len(content) <= 8 or (len(content) == 9 and content[0] == 0), "more than 64 bits")
        return int.from_bytes(content, "big")

    def boolean(self):
        content = self.next(0x01)
        ensure(content in (b"\0", b"\xff"), "no boolean of DER")
        return content == b"\xff"

    def optional(self, tag):
        return Der(self.next(tag)) if self.data[:1] == bytes([tag]) else None

    def end(self):
        ensure(not self.data, "bytes left over")


def instance(value):
    """What it says, or None where the machine is not of production."""
    outer = Der(value)
    r = Der(outer.next(0x30))
    outer.end()
    zone, number, project, ident, name = r.text(), r.unsigned(), r.text(), r.unsigned(), r.text()
    wrapped = r.optional(0xA0)
    r.end()
    if wrapped is None:
        return None
    inner = Der(wrapped.next(0x30))
    wrapped.end()
    found = {}
    for tag in range(6):
        each = inner.optional(0xA0 + tag)
        if each is not None:
            found[tag] = each.unsigned() if tag == 0 else each.boolean()
            each.end()
    inner.end()
    if not found.get(1):
        return None
    region = {"region": zone[:-2]} if re.fullmatch("[a-z]+-[a-z]+[0-9]+-[a-z]", zone) else {}
    return {"id": str(ident), "name": name, "project": project, "project_number": str(number), "zone": zone, **region}


TECHNOLOGIES = ("none", "sev", "sev-es", "tdx", "sev-snp")


def firmware(pcr):
    """What PCR 0 tells of a machine's firmware, or None (SPEC.md, "Measurements")."""
    for version in (1, 2):
        for i, technology in enumerate(TECHNOLOGIES):
            value, named = bytes(32), f"GCE Virtual Firmware v{version}\0".encode("utf-16-le")
            for each in (named, b"GCE NonHostInfo\0" + bytes([i]) + bytes(15), bytes(4)):
                value = sha256(value, sha256(each))
            if value == pcr:
                return {"technology": technology, "version": version}
    return None

"""TCG event logs of a made-up boot, by hand, and the PCR values that they make."""
from verifier.encodings import sha256

NO_ACTION, SEPARATOR, APPLICATION, PARTITIONS, ACTION, VARIABLE, IPL = 3, 4, 0x80000003, 0x80000006, 0x80000007, 0x80000001, 13
ALGORITHMS = ((0x0004, 20), (0x000B, 32), (0x000C, 48))
UKI, KERNEL = sha256(b"unified kernel image"), sha256(b"kernel")


def le(value, size):
    return value.to_bytes(size, "little")


def header(algorithms=ALGORITHMS, name=b"Spec ID Event03\0", vendor=b"", version=(0, 2, 0, 2), class_=0, counted=None):
    listed = b"".join(le(algorithm, 2) + le(size, 2) for algorithm, size in algorithms)
    number = le(len(algorithms) if counted is None else counted, 4)
    return name + le(class_, 4) + bytes(version) + number + listed + le(len(vendor), 1) + vendor


def first(data, pcr=0, kind=NO_ACTION, digest=bytes(20)):
    return le(pcr, 4) + le(kind, 4) + digest + le(len(data), 4) + data


def event(pcr, kind, digest, data, algorithms=ALGORITHMS, counted=None):
    """`digest` is SHA-256's; those of the other algorithms are made up, and zero where it is."""
    made = b""
    for algorithm, size in algorithms:
        other = (sha256(digest) * 2)[:size] if any(digest) else bytes(size)
        made += le(algorithm, 2) + (digest if algorithm == 0x000B else other)
    number = le(len(algorithms) if counted is None else counted, 4)
    return le(pcr, 4) + le(kind, 4) + number + made + le(len(data), 4) + data


def of(pcr, kind, data):
    """An event whose digest is that of its data."""
    return pcr, kind, sha256(data), data


def separator(pcr):
    return of(pcr, SEPARATOR, bytes(4))


FIRMWARE = "GCE Virtual Firmware v2\0".encode("utf-16-le")


def events(application=4):
    """As on a GCE machine, the applications in PCR 4, or in PCR 2 as on TDX machines."""
    return [
        of(0, 8, FIRMWARE),
        of(0, 11, b"GCE NonHostInfo\0" + b"\0" + bytes(15)),
        *(of(7, VARIABLE, name) for name in (b"SecureBoot", b"PK", b"KEK", b"db", b"dbx")),
        of(4, ACTION, b"Calling EFI Application from Boot Option"),
        *(separator(i) for i in range(8)),
        of(5, PARTITIONS, b"EFI PART" + bytes(84)),
        (application, APPLICATION, UKI, b"path of the image"),
        (application, APPLICATION, KERNEL, b"path of the kernel"),
        of(9, IPL, b"initrd"),
        (11, IPL, sha256(b".linux"), b".linux\0"),
        (11, IPL, sha256(b".cmdline"), b".cmdline\0"),
    ]


def log(made, head=None, algorithms=ALGORITHMS):
    return (first(header(algorithms)) if head is None else head) + b"".join(event(*each, algorithms) for each in made)


def values(made, start=bytes(32)):
    pcrs = {**{i: bytes(32) for i in (*range(8), 9, 11, 12, 13)}, 0: start}
    for pcr, kind, digest, _ in made:
        if kind != NO_ACTION:
            pcrs[pcr] = sha256(pcrs.get(pcr, bytes(32)), digest)
    return pcrs

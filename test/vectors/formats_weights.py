"""Weights volumes: lengths, roots and models, and what must not be taken for them."""
from formats_wire import hexes
from make import Vectors
from verifier.encodings import sha256
from verifier.weights import blocks_of, model_of, root_of, salt_of, tree_blocks


def volume_vectors():
    v = Vectors(
        "weights_volume", "Weights volumes", "`of` length: how many blocks of so many `bytes` are data, and their salt. `of` root: "
        "`runs` are blocks of one byte each, `[how many, which]`; `stated` is the root hash of the volume that they are. `of` model: "
        "`stated` is what activations of that workload are of.",
    )
    for blocks in (2, 128, 129, 16384, 16385, 2**32 - 1):
        length = 4096 * (blocks + tree_blocks(blocks))
        v.good(f"the length of {blocks} blocks", of="length", bytes=length, expect={"blocks": blocks, "salt": salt_of(blocks).hex()})
    for name, length in (
        ("nothing", 0), ("one block", 4096), ("two blocks", 8192), ("half a block more", 3 * 4096 + 2048), ("a sector more", 3 * 4096 + 512),
        ("130 blocks", 130 * 4096), ("131 blocks", 131 * 4096), ("2^32 blocks of data", 4096 * (2**32 + tree_blocks(2**32))),
    ):
        v.bad(f"the length of {name}", "no number of blocks", of="length", bytes=length)

    def root(runs, salt=None):
        data = blocks_of(runs)
        return root_of(data, salt_of(len(data)) if salt is None else salt).hex()

    two, wide = [[1, 1], [1, 2]], [[128, 7], [2, 9]]
    for name, runs in (("two blocks", two), ("a block of hashes, filled", [[128, 3]]), ("two levels", wide), ("three levels", [[16385, 0]])):
        v.good(f"the root of {name}", of="root", runs=runs, stated=root(runs))
    for name, reason, runs, stated in (
        ("in another order", "the order", two[::-1], root(two)),
        ("with a block more", "the number", [*two, [1, 0]], root(two)),
        ("without a salt", "the salt", two, root(two, b"")),
        ("under a salt without their number", "the salt", two, root(two, sha256(b"sealed/weights/v1\0"))),
        ("under a salt of another number", "the salt", wide, root(wide, salt_of(2))),
        ("under a number as little-endian", "the salt", two, root(two, sha256(b"sealed/weights/v1\0" + (2).to_bytes(8, "little")))),
        ("of blocks alone, without a level", "the tree", two, sha256(salt_of(2) + b"".join(blocks_of(two))).hex()),
    ):
        v.bad(f"the root of blocks {name}", reason, of="root", runs=runs, stated=stated)

    image, roots = hexes("image"), [hexes("second root"), hexes("first root")]
    workload = {"image": image, "weights": roots}
    v.good("the model of an image alone", of="model", image=image, stated=image)
    v.good("the model of an image with two volumes", of="model", **workload, stated=model_of(workload))
    for name, stated in (
        ("the image", image), ("one volume fewer", model_of({**workload, "weights": roots[:1]})),
        ("another order", model_of({**workload, "weights": roots[::-1]})), ("another image", model_of({**workload, "image": hexes("x")})),
        ("no prefix", sha256(bytes.fromhex(image + "".join(roots))).hex()),
    ):
        v.bad(f"the model of two volumes, by {name}", "the model", of="model", **workload, stated=stated)
    return v


def vectors():
    return [volume_vectors()]

"""C2SP tlog-tiles: paths, and proofs read out of tiles that were led to a root first."""
import re

from .encodings import ensure, sha256
from .merkle import node_hash

WIDTH = 256


def parse_path(path):
    found = re.fullmatch(r"tile/(0|[1-9][0-9]?)/((?:x[0-9]{3}/)*)([0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?", path)
    ensure(found, "no path of a tile")
    level, groups, last, width = found.groups()
    ensure(not groups.startswith("x000"), "a group of zeros in front")
    ensure(int(level) < 64 and (width is None or int(width) < WIDTH), "no such level or width")
    index = int("".join(groups[at + 1 : at + 4] for at in range(0, len(groups), 5)) + last)
    return {"level": int(level), "index": index, "width": int(width) if width else WIDTH}


def tile_path(level, index, width):
    text = f"{index:0{-(-len(str(index)) // 3) * 3}d}"
    groups = [text[at : at + 3] for at in range(0, len(text), 3)]
    return f"tile/{level}/" + "".join(f"x{each}/" for each in groups[:-1]) + groups[-1] + ("" if width == WIDTH else f".p/{width}")


def over(hashes):
    """RFC 6962 section 2.1, from the hashes of equal subtrees."""
    if len(hashes) == 1:
        return hashes[0]
    k = 1
    while 2 * k < len(hashes):
        k *= 2
    return node_hash(over(hashes[:k]), over(hashes[k:]))


def leaves_of(tiles, size, root):
    """All leaf hashes of a log, each full tile held against the level above and the edge against the root."""
    if size == 0:
        ensure(root == sha256(b""), "another root than of the empty tree")
        return []
    levels, count = [], size
    while count:
        hashes = []
        for index in range(-(-count // WIDTH)):
            width = min(WIDTH, count - index * WIDTH)
            tile = tiles.get(tile_path(len(levels), index, width))
            ensure(tile is not None and len(tile) == width, "a tile is not there or has another width")
            hashes += [bytes.fromhex(each) for each in tile]
        levels.append(hashes)
        count //= WIDTH
    for below, above in zip(levels, levels[1:]):
        for index, each in enumerate(above):
            ensure(over(below[index * WIDTH : (index + 1) * WIDTH]) == each, "a full tile is not the one above")
    ensure(over(levels[0]) == root, "another root")
    return levels[0]


def inclusion_path(leaves, index):
    ensure(index < len(leaves), "leaf outside the tree")
    if len(leaves) == 1:
        return []
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    if index < k:
        return [*inclusion_path(leaves[:k], index), over(leaves[k:])]
    return [*inclusion_path(leaves[k:], index - k), over(leaves[:k])]


def consistency_proof(leaves, old, whole=True):
    """RFC 6962 section 2.1.2: that the first `old` leaves are the beginning."""
    if old == len(leaves) or old == 0:
        return [] if whole else [over(leaves)]
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    if old <= k:
        return [*consistency_proof(leaves[:k], old, whole), over(leaves[k:])]
    return [*consistency_proof(leaves[k:], old - k, False), over(leaves[:k])]

"""Merkle trees as RFC 9162 section 2.1 defines them, over leaves that are only ever appended. Pure.

A tree is kept as its peaks: the roots of the largest full trees, left to right, as many as its size has bits set. They
are all that appending, the root, and the proofs of later leaves need, so that a tree of any size takes a kilobyte.
"""

import hashlib
from collections.abc import Iterable, Sequence

HASH_BYTES = 32


def leaf_hash(data: bytes) -> bytes:
    """sha256(0x00, data)."""
    return hashlib.sha256(b"\0" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """sha256(0x01, left, right)."""
    return hashlib.sha256(b"\1" + left + right).digest()


class Tree:
    """A tree that grows. Begins empty, or from the peaks of one of `size` leaves."""

    def __init__(self, size: int = 0, peaks: Iterable[bytes] = ()) -> None:
        self.size = size
        self.peaks = list(peaks)
        if len(self.peaks) != size.bit_count():
            raise ValueError(f"a tree of {size} leaves has {size.bit_count()} peaks; given are {len(self.peaks)}")

    def append(self, leaf: bytes) -> None:
        """One leaf more, by its hash."""
        node, size, peaks = leaf, self.size, self.peaks
        while size & 1:
            node = node_hash(peaks.pop(), node)
            size >>= 1
        peaks.append(node)
        self.size += 1

    def root(self) -> bytes:
        """The Merkle tree hash; of no leaf, sha256 of nothing."""
        if not self.peaks:
            return hashlib.sha256(b"").digest()
        root = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            root = node_hash(peak, root)
        return root


class ProvingTree(Tree):
    """A tree that keeps the inclusion paths of the leaves that were appended with `wanted`. It may begin from peaks:
    the leaves before them need not be there."""

    def __init__(self, size: int = 0, peaks: Iterable[bytes] = ()) -> None:
        super().__init__(size, peaks)
        self._under: list[list[int]] = [[] for _ in self.peaks]
        """The wanted leaves under each peak."""
        self._paths: dict[int, list[bytes]] = {}

    def append(self, leaf: bytes, *, wanted: bool = False) -> None:
        """One leaf more, by its hash."""
        here = [self.size] if wanted else []
        if wanted:
            self._paths[self.size] = []
        node, size = leaf, self.size
        while size & 1:
            left, under = self.peaks.pop(), self._under.pop()
            _join(self._paths, under, left, here, node)
            node, here = node_hash(left, node), under + here
            size >>= 1
        self.peaks.append(node)
        self._under.append(here)
        self.size += 1

    def path(self, index: int) -> list[bytes]:
        """The inclusion path (section 2.1.3.1) of a wanted leaf in the tree as it is now, from the leaf upwards."""
        paths = {index: list(self._paths[index])}
        right, below = self.peaks[-1], [one for one in self._under[-1] if one == index]
        for peak, under in zip(reversed(self.peaks[:-1]), reversed(self._under[:-1]), strict=True):
            here = [one for one in under if one == index]
            _join(paths, here, peak, below, right)
            right, below = node_hash(peak, right), here + below
        return paths[index]


def _join(paths: dict[int, list[bytes]], under: Sequence[int], left: bytes, here: Sequence[int], right: bytes) -> None:
    for index in under:
        paths[index].append(right)
    for index in here:
        paths[index].append(left)


def root_of(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """The root that an inclusion path leads to (section 2.1.3.2); None if no tree of that size has such a path."""
    if not 0 <= index < size:
        return None
    at, last, node = index, size - 1, leaf
    for step in path:
        if last == 0 or len(step) != HASH_BYTES:
            return None
        if at & 1 or at == last:
            node = node_hash(step, node)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            node = node_hash(node, step)
        at, last = at >> 1, last >> 1
    return node if last == 0 else None

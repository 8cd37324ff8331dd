"""Draws the pictures of the explorer's pages anew: `python docs/pictures.py [FOLDER]`, by default docs/images.

The records are those of the browser tests: an afternoon of the real router and workers in the simulated world, with
the same dice each time. Needed: Chromium. Each picture is a PNG with a palette; all together may take 2 MB.
"""

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

from browser import NARROW, WIDE, NoBrowser, Scheme, launched, visit  # noqa: E402
from explorer_world import PICTURED, Explorer, afternoon, explorer  # noqa: E402
from hub_browser import ADDRESSES, answering, filled, hub_explorer  # noqa: E402
from PIL import Image  # noqa: E402
from playwright.sync_api import Browser  # noqa: E402

COLOURS = 256
MOST_BYTES = 2_000_000
LOOKS: tuple[tuple[str, tuple[int, int], Scheme], ...] = (
    ("wide-light", WIDE, "light"),
    ("narrow-dark", NARROW, "dark"),
)
ALSO: dict[str, tuple[tuple[str, tuple[int, int], Scheme], ...]] = {
    "jobs": (("wide-dark", WIDE, "dark"), ("narrow-light", NARROW, "light")),
    "job": (("wide-dark", WIDE, "dark"), ("narrow-light", NARROW, "light")),
}
"""Pages that are shown in every way; the others light on a desk and dark on a telephone."""
HUB = ("hub", "hub model", "hub compare")
"""Pages of the Model Hub of which there are pictures, over a hub that the browser tests have in memory."""


def main(arguments: list[str]) -> int:
    """Write all pictures. 1: there is no browser, or they take more than they may."""
    folder = Path(arguments[0]) if arguments else ROOT / "docs" / "images"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        told = afternoon(Path(scratch))
        try:
            with launched() as browser, explorer(told, Path(scratch) / "index") as world:
                for name in PICTURED:
                    for look, size, scheme in (*LOOKS, *ALSO.get(name, ())):
                        file = folder / f"{name.replace(' ', '-')}-{look}.png"
                        picture(browser, world, world.address(name), file, size, scheme)
                with hub_explorer(told, Path(scratch) / "hub", filled(), answering()) as hub:
                    for name in HUB:
                        for look, size, scheme in LOOKS:
                            file = folder / f"{name.replace(' ', '-')}-{look}.png"
                            picture(browser, hub, ADDRESSES[name], file, size, scheme)
        except NoBrowser as error:
            print(f"pictures: {error}", file=sys.stderr)
            return 1
    taken = sum(one.stat().st_size for one in folder.glob("*.png"))
    print(f"pictures: {len([*folder.glob('*.png')])} in {folder}, {taken:,} bytes; they may have {MOST_BYTES:,}")
    return 0 if taken <= MOST_BYTES else 1


def picture(browser: Browser, world: Explorer, address: str, file: Path, size: tuple[int, int], scheme: Scheme) -> None:
    """One page as it is seen without scrolling, a little more of it on a telephone."""
    with visit(browser, world.origin, size=size, scheme=scheme) as visited:
        page = visited.go(address)
        world.settled(page)
        page.screenshot(path=file, animations="disabled")
    with Image.open(file) as shot:
        # The usual way, median cut, spends the palette on greys: what is small and red came out brown.
        few = shot.convert("RGB").quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        few.save(file, optimize=True)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

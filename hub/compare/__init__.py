"""Models beside each other: facts, costs for one's own jobs, measured speed and quality, and what follows from them."""

"""What real servers said, said again to this program: `make conformance`."""

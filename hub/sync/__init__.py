"""Keeps `novix.catalog.v1` as the sources of the catalogue are: reads them, merges, writes what changed."""

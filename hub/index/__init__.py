"""The index of the catalogue: SQLite with full text, columns for filters and facets, and an embedding of each entry."""

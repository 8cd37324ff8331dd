"""What units cost, since when, and who says so."""

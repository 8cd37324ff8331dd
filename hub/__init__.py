"""Which models exist, which are good, which are allowed; dedicated endpoints."""

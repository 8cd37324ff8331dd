"""What the page Live shows: read from brokers and processes while somebody looks."""

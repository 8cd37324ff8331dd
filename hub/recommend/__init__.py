"""From a sentence to models that may do what it asks, with every reason told."""

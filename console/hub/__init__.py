"""The Model Hub in the console: what its pages and commands ask of the topics and of the index."""

"""Who operates and who watches: the command line, the world on one machine, the store and the pages."""

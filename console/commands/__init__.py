"""The commands, one file per family. A file imports little at its top: `novix --help` must be quick."""

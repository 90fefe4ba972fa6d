"""The database of a labelled dataset: its schema, its one writer, and how it is read."""

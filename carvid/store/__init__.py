"""The database of a labelled data set: its schema, its one writer, and how it is read."""

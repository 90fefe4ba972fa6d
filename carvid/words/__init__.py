"""What an expression says that CLIP cannot read: place, order, size, number, motion, relation, time, negation."""

from carvid.words.reading import Clue, Reading, read

__all__ = ["Clue", "Reading", "read"]

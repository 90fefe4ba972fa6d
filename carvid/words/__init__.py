"""What an expression says that CLIP cannot read: place, order, size, number, motion, relation, time, negation; and the
choice among things by it."""

from carvid.words.candidates import Candidate
from carvid.words.choose import Choice, choose
from carvid.words.reading import Clue, Reading, read

__all__ = ["Candidate", "Choice", "Clue", "Reading", "choose", "read"]

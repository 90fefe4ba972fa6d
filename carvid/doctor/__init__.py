"""What this machine has that carvid uses, and what a frame costs on it."""

from carvid.doctor.examine import Report, examine

__all__ = ["Report", "examine"]

"""Labelling a whole dataset of videos into one SQLite database, unattended."""

"""Checking what a run or a dataset holds against what it recorded, and by making some of its frames again."""

"""Ref-DAVIS 2017: what the data set says, and how good predicted masks are under its two protocols."""

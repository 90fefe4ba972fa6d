"""Ref-DAVIS 2017: its data, a run over all of it, and scores under its two protocols."""

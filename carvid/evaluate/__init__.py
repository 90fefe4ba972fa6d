"""Benchmarks: what their data sets ask for, running it, and scoring what was predicted, by whomever."""

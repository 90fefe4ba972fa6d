"""The desk: a page in the browser on which the masks of a dataset are looked at, corrected and accepted."""

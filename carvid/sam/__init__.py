"""The SAM ensemble: automatic masks of Segment Anything that take the place of the CRF's."""

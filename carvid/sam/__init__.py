"""The SAM ensemble: automatic masks of Segment Anything that take the CRF masks' place."""

"""Masks to the edges of the image: a dense CRF on a permutohedral lattice in torch."""

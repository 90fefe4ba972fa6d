"""Refining masks to the edges in the image: a dense CRF on a permutohedral lattice, in torch."""

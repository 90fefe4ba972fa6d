"""The two frozen CLIPs: weights by name, loading, preprocessing and text embeddings."""

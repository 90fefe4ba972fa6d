"""Weights of any network: where they are named, found, fetched, hashed and read, and the device they are put on."""

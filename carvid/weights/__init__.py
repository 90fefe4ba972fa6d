"""The weights of any network: naming, finding, fetching, hashing and reading them, and choosing their device."""

"""carvid inside other tools, by their own interfaces: CVAT."""

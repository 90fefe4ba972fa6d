"""Workers: processes, here or on a Ray cluster, that load a model and do tasks; and their supervisor."""

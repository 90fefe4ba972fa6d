"""`carvid bench`: time per stage, the operations each model stage must do, and how fast the machine can do them."""

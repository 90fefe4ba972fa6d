"""`carvid bench`: time per stage, the operations each model stage must do, and the machine's own rate for them."""

"""J, F and IoU of masks: the definitions, apart from any benchmark."""

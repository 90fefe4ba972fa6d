"""Files written whole, run-length codes, palettes, drawing and video encoding: what several rooms make media with."""

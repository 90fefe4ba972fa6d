"""How good a mask is: IoU, boundary F, their statistics over frames, and who is compared with whom.

No benchmark is known here: which frames count, what void pixels are and which labels belong together is each
benchmark's own.
"""

"""How good masks are: IoU, boundary F, their statistics over frames, and who is compared with whom; and, through a
video, temporal consistency, HOTA and IDF1.

No benchmark is known here: which frames count, what void pixels are and which labels belong together is each
benchmark's own.
"""

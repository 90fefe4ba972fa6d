"""What moves where: optical flow, cuts, masks carried from key frames to the frames between, and instances.

The recurrence knows nothing of it: at a key frame the engine does what it does on any frame.
"""

"""The demo's small world: what its prompts ask, what a good answer says, and what its simulated labelers like.

Pure Python: no Django, no torch. `preference` is hidden from everything that trains (import contracts hold that).
"""

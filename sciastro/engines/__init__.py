"""Plate solvers on this computer that are not ours: asked with a star list, in a process that can be ended.

None of them is imported into ours or needed by it; what they answer is a guess that our own solver verifies.
"""

__all__: list[str] = []

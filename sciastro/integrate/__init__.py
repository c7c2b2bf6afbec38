"""From registered frames to one image per band: grade, normalize, warp, reject, combine."""

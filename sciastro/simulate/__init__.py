"""Forward model: what the camera would have written of a sky that we know exactly."""

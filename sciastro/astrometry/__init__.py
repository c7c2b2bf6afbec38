"""Match star lists, register frames, fit world coordinates."""

"""From raw frames to electrons with variance and quality: masters, defects, gain, correction, debayering."""

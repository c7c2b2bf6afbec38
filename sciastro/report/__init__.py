"""What a run did, told on one self-contained page."""

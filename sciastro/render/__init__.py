"""From linear science images to a picture. Nothing here feeds back into a measurement."""

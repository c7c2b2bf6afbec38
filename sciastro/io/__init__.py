"""Files in and out: FITS and header dialects, the HDF5 store, products and reference data."""

"""A stand-in for the regulator's download page: real zips from a folder, or made-up quarters."""

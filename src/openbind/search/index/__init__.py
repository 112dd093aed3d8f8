"""An index over folders: vectors of many files, kept up with them."""

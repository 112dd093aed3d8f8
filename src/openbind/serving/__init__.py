"""A space and an index over HTTP: embeddings, search, classification, and a web page."""

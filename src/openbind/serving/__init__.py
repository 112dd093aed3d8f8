"""A service over HTTP: embeddings in OpenAI's shape, search in an index, and a page."""

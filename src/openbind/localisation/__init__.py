"""Where in an image a query is, and when in a recording: vectors and towers, no spaces."""

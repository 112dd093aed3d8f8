"""The sample collection that ships, what can be done with it, and a page that shows it."""

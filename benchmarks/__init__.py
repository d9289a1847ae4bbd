"""One file a question, in a folder for what it asks about: see README.md. Results go to LOG.md by hand."""

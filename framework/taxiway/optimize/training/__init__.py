"""Training inside a pass: rows in a stream, seeds, early stopping, and resumption after a kill."""

"""Training inside a pass: rows in a stream, seeds, early stopping, and resumption after a kill.

A pass that trains loads with `network.load_network`, trains with `fit.fit`, and saves with
`network.save_network`. What it wants of single weights it says as `views.View`s, and what it minimizes as an
`objective.Objective`. What earlier passes promised is kept by `fit` itself.
"""

"""From a recipe to results: plan, content-addressed store, worker process, events, run folder."""

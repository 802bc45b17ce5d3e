"""The loop around the steps: batches, step sizes, records, results and what identifies a run."""

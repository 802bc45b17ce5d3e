"""Backward error analysis: the modified equation of a step, what it says of the loss, and where the step is stable."""

"""What E, its inner product, its linear part and a linearisation are, and energies made from functions."""

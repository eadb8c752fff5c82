"""Data sets: what FER-2013 is, where it comes from, and how a copy is judged."""

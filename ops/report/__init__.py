"""Reports for people: one self-contained page, with its pictures in it."""

"""The main job, shown from end to end: a good release promoted, a bad one rolled back, under load."""

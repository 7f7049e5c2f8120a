"""Quality on annotated videos: datasets, the public measures, runs and their report."""

"""Models as bundles: graphs and weights in one file, for apps without Python."""

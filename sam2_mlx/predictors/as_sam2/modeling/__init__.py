"""sam2.modeling: the model's class."""

"""sam2.sam2_image_predictor."""

from sam2_mlx.predictors.image_predictor import SAM2ImagePredictor as SAM2ImagePredictor

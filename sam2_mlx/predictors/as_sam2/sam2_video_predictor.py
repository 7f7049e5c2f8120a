"""sam2.sam2_video_predictor."""

from sam2_mlx.predictors.video_predictor import SAM2VideoPredictor as SAM2VideoPredictor

# What it compiles is compiled here anyway.
SAM2VideoPredictorVOS = SAM2VideoPredictor

from sam2_mlx.predictors.as_sam2.sam2_video_predictor import *

from sam2_mlx.predictors.as_sam2.build_sam import *

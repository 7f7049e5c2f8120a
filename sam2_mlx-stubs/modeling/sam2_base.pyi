from sam2_mlx.predictors.as_sam2.modeling.sam2_base import *

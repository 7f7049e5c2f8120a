from sam2_mlx.predictors.as_sam2.utils.misc import *

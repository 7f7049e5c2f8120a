from sam2_mlx.predictors.as_sam2.automatic_mask_generator import *

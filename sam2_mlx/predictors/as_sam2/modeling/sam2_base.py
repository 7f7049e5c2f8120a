"""sam2.modeling.sam2_base."""

from sam2_mlx.model.memory import ABSENT_LOGIT as NO_OBJ_SCORE
from sam2_mlx.predictors.torch_like import SAM2Base as SAM2Base

__all__ = ["NO_OBJ_SCORE", "SAM2Base"]

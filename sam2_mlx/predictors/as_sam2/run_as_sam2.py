"""`python -m sam2_mlx.run_as_sam2 program.py`: a program for `sam2`, run as it is."""

import sys

from sam2_mlx.predictors.install import main

if __name__ == "__main__":
    sys.exit(main())

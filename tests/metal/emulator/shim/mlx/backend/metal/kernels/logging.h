// Kernels here do not log.
#pragma once

// The shim's bfloat has these functions through float.
#pragma once

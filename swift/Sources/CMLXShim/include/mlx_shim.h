// The few functions of MLX that following objects needs, for Swift.
//
// None of them throws. Where one returns NULL or a negative number, mlx_shim_error says why, until
// the next call on the same thread.
#pragma once
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef void *mlx_shim_array;
typedef void *mlx_shim_functions;
typedef enum { MLX_SHIM_U8, MLX_SHIM_I32, MLX_SHIM_F32 } mlx_shim_type;

const char *mlx_shim_error(void);
const char *mlx_shim_version(void);
int mlx_shim_runs_on_gpu(void);

mlx_shim_array mlx_shim_new(const void *data, const int32_t *shape, int rank, mlx_shim_type type);
// Joins arrays (1, ...) along a new second axis and pads it with zeros to `count`.
mlx_shim_array mlx_shim_padded(
    const mlx_shim_array *arrays, int number, int count, mlx_shim_array example);
void mlx_shim_free(mlx_shim_array array);
int mlx_shim_evaluate(const mlx_shim_array *arrays, int number);
size_t mlx_shim_size(mlx_shim_array array);
// Copies `mlx_shim_size` values.
int mlx_shim_floats(mlx_shim_array array, float *out);

mlx_shim_functions mlx_shim_import(const char *path);
void mlx_shim_free_functions(mlx_shim_functions functions);
// Calls a function by the names of its arguments; returns the number of arrays it gave.
int mlx_shim_call(
    mlx_shim_functions functions, const char *const *names, const mlx_shim_array *arrays,
    int number, mlx_shim_array *out, int room);

#ifdef __cplusplus
}
#endif

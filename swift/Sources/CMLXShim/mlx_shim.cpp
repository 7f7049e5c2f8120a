#include "mlx_shim.h"

#include <mlx/export.h>
#include <mlx/mlx.h>
#include <mlx/version.h>

#include <algorithm>
#include <string>
#include <vector>

namespace mx = mlx::core;

namespace {
thread_local std::string problem;

template <typename Function, typename Result>
Result guarded(Result failed, Function work) {
  try {
    return work();
  } catch (const std::exception &error) {
    problem = error.what();
  } catch (...) {
    problem = "an unknown error";
  }
  return failed;
}

const mx::array &at(mlx_shim_array array) { return *static_cast<mx::array *>(array); }
mlx_shim_array owned(mx::array array) { return new mx::array(std::move(array)); }

std::vector<mx::array> all(const mlx_shim_array *arrays, int number) {
  std::vector<mx::array> found;
  for (int i = 0; i < number; ++i) found.push_back(at(arrays[i]));
  return found;
}
}  // namespace

const char *mlx_shim_error(void) { return problem.c_str(); }
const char *mlx_shim_version(void) { return mx::version(); }
int mlx_shim_runs_on_gpu(void) { return mx::default_device() == mx::Device::gpu; }

mlx_shim_array mlx_shim_new(
    const void *data, const int32_t *shape, int rank, mlx_shim_type type) {
  return guarded<>(mlx_shim_array(nullptr), [&]() -> mlx_shim_array {
    mx::Shape sizes(shape, shape + rank);
    switch (type) {
      case MLX_SHIM_U8:
        return owned(mx::array(static_cast<const uint8_t *>(data), sizes, mx::uint8));
      case MLX_SHIM_I32:
        return owned(mx::array(static_cast<const int32_t *>(data), sizes, mx::int32));
      default:
        return owned(mx::array(static_cast<const float *>(data), sizes, mx::float32));
    }
  });
}

mlx_shim_array mlx_shim_padded(
    const mlx_shim_array *arrays, int number, int count, mlx_shim_array example) {
  return guarded<>(mlx_shim_array(nullptr), [&]() -> mlx_shim_array {
    auto found = all(arrays, number);
    found.resize(std::max(count, number), mx::zeros_like(at(example)));
    return owned(mx::stack(found, 1));
  });
}

void mlx_shim_free(mlx_shim_array array) { delete static_cast<mx::array *>(array); }

int mlx_shim_evaluate(const mlx_shim_array *arrays, int number) {
  return guarded<>(-1, [&] {
    mx::eval(all(arrays, number));
    return 0;
  });
}

size_t mlx_shim_size(mlx_shim_array array) { return at(array).size(); }

int mlx_shim_floats(mlx_shim_array array, float *out) {
  return guarded<>(-1, [&] {
    auto floats = mx::contiguous(mx::astype(at(array), mx::float32));
    mx::eval(floats);
    std::copy_n(floats.data<float>(), floats.size(), out);
    return 0;
  });
}

mlx_shim_functions mlx_shim_import(const char *path) {
  return guarded<>(mlx_shim_functions(nullptr), [&]() -> mlx_shim_functions {
    return new mx::ImportedFunction(mx::import_function(path));
  });
}

void mlx_shim_free_functions(mlx_shim_functions functions) {
  delete static_cast<mx::ImportedFunction *>(functions);
}

int mlx_shim_call(
    mlx_shim_functions functions, const char *const *names, const mlx_shim_array *arrays,
    int number, mlx_shim_array *out, int room) {
  return guarded<>(-1, [&] {
    mx::Kwargs arguments;
    for (int i = 0; i < number; ++i) arguments.emplace(names[i], at(arrays[i]));
    auto found = (*static_cast<mx::ImportedFunction *>(functions))(arguments);
    if (int(found.size()) > room) throw std::length_error("a function gave too many arrays");
    for (size_t i = 0; i < found.size(); ++i) out[i] = owned(std::move(found[i]));
    return int(found.size());
  });
}

// MLX's own has constructors for each address space, which are one and the same on a CPU.
#pragma once
template <typename T>
struct complex_t {
  T real, imag;
  complex_t() = default;
  constexpr complex_t(T real, T imag = T(0)) : real(real), imag(imag) {}
};
typedef complex_t<float> complex64_t;

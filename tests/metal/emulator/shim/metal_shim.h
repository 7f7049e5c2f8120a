// The part of the Metal Shading Language that kernels use, for g++; included inside a namespace.
//
// As in Metal, half arithmetic rounds at every operation, float becomes bfloat only by an
// explicit cast, a vector of three has the size of four, and vectors are aligned to their size.
#define device
#define constant
#define thread
#define threadgroup
#define METAL_FUNC inline

typedef _Float16 half;
typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned int uint;
typedef unsigned long ulong;

template <typename To, typename From>
inline To as_type(From value) {
  static_assert(sizeof(To) == sizeof(From), "as_type between different sizes");
  To result;
  std::memcpy(&result, &value, sizeof result);
  return result;
}

struct bfloat {
  uint16_t bits;
  bfloat() = default;
  constexpr bfloat(uint16_t raw, int) : bits(raw) {}
  explicit bfloat(float value) {
    const uint32_t u = as_type<uint32_t>(value);
    const bool nan = (u & 0x7fffffffu) > 0x7f800000u;
    bits = nan ? uint16_t(u >> 16 | 0x40) : uint16_t((u + 0x7fffu + (u >> 16 & 1)) >> 16);
  }
  template <typename T>
  explicit bfloat(T value) : bfloat(float(value)) {}
  operator float() const { return as_type<float>(uint32_t(bits) << 16); }
};
#define BFLOAT_OPERATOR(op) \
  inline bfloat operator op(bfloat a, bfloat b) { return bfloat(float(a) op float(b)); }
BFLOAT_OPERATOR(+)
BFLOAT_OPERATOR(-)
BFLOAT_OPERATOR(*)
BFLOAT_OPERATOR(/)

template <typename T, int N>
struct alignas(sizeof(T) * (N == 3 ? 4 : N)) vec;
template <typename T>
struct alignas(sizeof(T) * 2) vec<T, 2> {
  T x, y;
  vec() = default;
  explicit vec(T all) : x(all), y(all) {}
  vec(T a, T b) : x(a), y(b) {}
  template <typename U>
  explicit vec(vec<U, 2> o) : x(T(o.x)), y(T(o.y)) {}
  T& operator[](int i) { return reinterpret_cast<T*>(this)[i]; }
};
template <typename T>
struct alignas(sizeof(T) * 4) vec<T, 3> {
  T x, y, z;
  vec() = default;
  explicit vec(T all) : x(all), y(all), z(all) {}
  vec(T a, T b, T c) : x(a), y(b), z(c) {}
  template <typename U>
  explicit vec(vec<U, 3> o) : x(T(o.x)), y(T(o.y)), z(T(o.z)) {}
  T& operator[](int i) { return reinterpret_cast<T*>(this)[i]; }
};
template <typename T>
struct alignas(sizeof(T) * 4) vec<T, 4> {
  T x, y, z, w;
  vec() = default;
  explicit vec(T all) : x(all), y(all), z(all), w(all) {}
  vec(T a, T b, T c, T d) : x(a), y(b), z(c), w(d) {}
  template <typename U>
  explicit vec(vec<U, 4> o) : x(T(o.x)), y(T(o.y)), z(T(o.z)), w(T(o.w)) {}
  T& operator[](int i) { return reinterpret_cast<T*>(this)[i]; }
};
#define VECTOR_OPERATOR(op)                                                     \
  template <typename T, int N>                                                  \
  inline vec<T, N> operator op(vec<T, N> a, vec<T, N> b) {                      \
    for (int i = 0; i < N; ++i) a[i] = a[i] op b[i];                            \
    return a;                                                                   \
  }                                                                             \
  template <typename T, int N>                                                  \
  inline vec<T, N> operator op(vec<T, N> a, T b) { return a op vec<T, N>(b); }  \
  template <typename T, int N>                                                  \
  inline vec<T, N> operator op(T a, vec<T, N> b) { return vec<T, N>(a) op b; }
VECTOR_OPERATOR(+)
VECTOR_OPERATOR(-)
VECTOR_OPERATOR(*)
VECTOR_OPERATOR(/)
#define VECTOR_NAMES(T)    \
  typedef vec<T, 2> T##2; \
  typedef vec<T, 3> T##3; \
  typedef vec<T, 4> T##4;
VECTOR_NAMES(float)
VECTOR_NAMES(half)
VECTOR_NAMES(bfloat)
VECTOR_NAMES(int)
VECTOR_NAMES(uint)
VECTOR_NAMES(uchar)
VECTOR_NAMES(ulong)

namespace metal {

template <typename T>
struct numeric_limits : std::numeric_limits<T> {};
template <>
struct numeric_limits<half> {
  static constexpr half max() { return half(65504.0f); }
  static constexpr half min() { return half(6.103515625e-5f); }
  static constexpr half infinity() { return half(__builtin_inff()); }
};
template <>
struct numeric_limits<bfloat> {
  static constexpr bfloat max() { return bfloat(uint16_t(0x7f7f), 0); }
  static constexpr bfloat infinity() { return bfloat(uint16_t(0x7f80), 0); }
};
// MLX's own header asks for the limits of bfloat by negating them.
constexpr bfloat operator-(bfloat a) { return bfloat(uint16_t(a.bits ^ 0x8000), 0); }

#define FUNCTION_OF_ONE(name)                                         \
  inline float name(float a) { return ::std::name(a); }              \
  inline half name(half a) { return half(::std::name(float(a))); }   \
  template <typename T, int N>                                        \
  inline vec<T, N> name(vec<T, N> a) {                                \
    for (int i = 0; i < N; ++i) a[i] = name(a[i]);                    \
    return a;                                                         \
  }
FUNCTION_OF_ONE(exp)
FUNCTION_OF_ONE(exp2)
FUNCTION_OF_ONE(log)
FUNCTION_OF_ONE(log2)
FUNCTION_OF_ONE(sin)
FUNCTION_OF_ONE(cos)
FUNCTION_OF_ONE(tanh)
FUNCTION_OF_ONE(sqrt)
FUNCTION_OF_ONE(floor)
FUNCTION_OF_ONE(ceil)
FUNCTION_OF_ONE(rint)
FUNCTION_OF_ONE(trunc)
inline float rsqrt(float a) { return 1.0f / ::std::sqrt(a); }
inline float abs(float a) { return ::std::fabs(a); }
inline half abs(half a) { return half(::std::fabs(float(a))); }
inline int abs(int a) { return a < 0 ? -a : a; }
inline float fma(float a, float b, float c) { return ::std::fma(a, b, c); }
inline float fabs(float a) { return ::std::fabs(a); }
inline float fmin(float a, float b) { return ::std::fmin(a, b); }
inline float fmax(float a, float b) { return ::std::fmax(a, b); }
inline float atan2(float a, float b) { return ::std::atan2(a, b); }
inline float pow(float a, float b) { return ::std::pow(a, b); }
inline bool isnan(float a) { return a != a; }
inline bool isinf(float a) { return ::std::isinf(a); }
template <typename T>
inline T min(T a, T b) { return b < a ? b : a; }
template <typename T>
inline T max(T a, T b) { return a < b ? b : a; }
template <typename T>
inline T clamp(T a, T low, T high) { return min(max(a, low), high); }
template <typename T>
inline T select(T a, T b, bool second) { return second ? b : a; }
namespace precise {
using metal::cos; using metal::exp; using metal::log; using metal::rsqrt; using metal::sin;
using metal::sqrt; using metal::tanh;
}
namespace fast {
using metal::cos; using metal::exp; using metal::log; using metal::rsqrt; using metal::sin;
using metal::sqrt; using metal::tanh;
}

// ---- collectives: a barrier before the values are read, one before they are replaced

enum class mem_flags { mem_none = 0, mem_device = 1, mem_threadgroup = 2 };
inline void threadgroup_barrier(mem_flags, int line = __builtin_LINE()) {
  rt::pause(rt::Wait::group, line);
}
inline void simdgroup_barrier(mem_flags, int line = __builtin_LINE()) {
  rt::pause(rt::Wait::simdgroup, line);
}
template <typename T>
inline T read_lane(T value, int lane, int line) {
  rt::post(&value, sizeof value, line);
  T result;
  // A lane that is not there gives anything.
  std::memset(static_cast<void*>(&result), rt::poison_byte, sizeof result);
  rt::peek(lane, &result, sizeof result);
  rt::pause(rt::Wait::simdgroup, -line);
  return result;
}
template <typename T>
inline T simd_shuffle(T value, ushort lane, int line = __builtin_LINE()) {
  return read_lane(value, lane, line);
}
template <typename T>
inline T simd_broadcast(T value, ushort lane, int line = __builtin_LINE()) {
  return read_lane(value, lane, line);
}
template <typename T>
inline T simd_shuffle_xor(T value, ushort mask, int line = __builtin_LINE()) {
  return read_lane(value, int(rt::lane() ^ mask), line);
}
template <typename T>
inline T simd_shuffle_down(T value, ushort by, int line = __builtin_LINE()) {
  return read_lane(value, int(rt::lane()) + by, line);
}
template <typename T>
inline T simd_shuffle_up(T value, ushort by, int line = __builtin_LINE()) {
  return read_lane(value, int(rt::lane()) - by, line);
}
template <typename T>
inline T simd_shuffle_and_fill_up(T value, T fill, ushort by, int line = __builtin_LINE()) {
  const T other = read_lane(value, int(rt::lane()) - by, line);
  return rt::lane() < by ? fill : other;
}
template <typename T>
inline T simd_prefix_inclusive_sum(T value, int line = __builtin_LINE()) {
  rt::post(&value, sizeof value, line);
  T total{}, other;
  for (int lane = 0; lane <= int(rt::lane()); ++lane) {
    if (rt::peek(lane, &other, sizeof other)) total = T(total + other);
  }
  rt::pause(rt::Wait::simdgroup, -line);
  return total;
}
template <typename T, typename Join>
inline T reduce_lanes(T value, Join join, int line) {
  rt::post(&value, sizeof value, line);
  T total{}, other;
  bool first = true;
  for (int lane = 0; lane < int(rt::kLanes); ++lane) {
    if (!rt::peek(lane, &other, sizeof other)) continue;
    total = first ? other : join(total, other);
    first = false;
  }
  rt::pause(rt::Wait::simdgroup, -line);
  return total;
}
template <typename T>
inline T simd_sum(T value, int line = __builtin_LINE()) {
  return reduce_lanes(value, [](T a, T b) { return T(a + b); }, line);
}
template <typename T>
inline T simd_max(T value, int line = __builtin_LINE()) {
  return reduce_lanes(value, [](T a, T b) { return a < b ? b : a; }, line);
}
template <typename T>
inline T simd_min(T value, int line = __builtin_LINE()) {
  return reduce_lanes(value, [](T a, T b) { return b < a ? b : a; }, line);
}

// ---- 8x8 matrices: a lane holds two neighbouring values of a row, where MLX's kernels find them

inline int matrix_row(uint lane) { return int((lane / 4 & 4) + lane / 2 % 4); }
inline int matrix_column(uint lane) { return int((lane / 4 & 2) * 2 + lane % 2 * 2); }
inline int matrix_lane(int row, int column) {
  return (row & 4) << 2 | (column & 4) << 1 | (row & 3) << 1 | (column & 2) >> 1;
}

template <typename T, int Rows, int Columns>
struct simdgroup_matrix {
  static_assert(Rows == 8 && Columns == 8, "Metal has matrices of 8 by 8 only");
  vec<T, 2> values;
  simdgroup_matrix() { std::memset(static_cast<void*>(&values), rt::poison_byte, sizeof values); }
  vec<T, 2>& thread_elements() { return values; }
};
typedef simdgroup_matrix<float, 8, 8> simdgroup_float8x8;
typedef simdgroup_matrix<half, 8, 8> simdgroup_half8x8;

template <typename T>
inline void simdgroup_load(simdgroup_matrix<T, 8, 8>& to, const T* from, ulong row_length = 8,
                           ulong2 origin = ulong2(0), bool transposed = false,
                           int line = __builtin_LINE()) {
  const long row = matrix_row(rt::lane()), column = matrix_column(rt::lane());
  const T* start = from + origin.y * row_length + origin.x;
  rt::pause(rt::Wait::simdgroup, line);
  for (int j = 0; j < 2; ++j) {
    to.values[j] = transposed ? start[(column + j) * long(row_length) + row]
                              : start[row * long(row_length) + column + j];
  }
  rt::pause(rt::Wait::simdgroup, -line);
}
template <typename T>
inline void simdgroup_store(simdgroup_matrix<T, 8, 8> from, T* to, ulong row_length = 8,
                            ulong2 origin = ulong2(0), bool transposed = false,
                            int line = __builtin_LINE()) {
  const long row = matrix_row(rt::lane()), column = matrix_column(rt::lane());
  T* start = to + origin.y * row_length + origin.x;
  rt::pause(rt::Wait::simdgroup, line);
  for (int j = 0; j < 2; ++j) {
    (transposed ? start[(column + j) * long(row_length) + row]
                : start[row * long(row_length) + column + j]) = from.values[j];
  }
  rt::pause(rt::Wait::simdgroup, -line);
}
// Factors may be of other types than the sum, as in Metal.
template <typename D, typename A, typename B, typename C>
inline void simdgroup_multiply_accumulate(simdgroup_matrix<D, 8, 8>& to,
                                          simdgroup_matrix<A, 8, 8> a, simdgroup_matrix<B, 8, 8> b,
                                          simdgroup_matrix<C, 8, 8> c,
                                          int line = __builtin_LINE()) {
  struct Factors {
    vec<A, 2> a;
    vec<B, 2> b;
  } mine{a.values, b.values}, left, right;
  const int row = matrix_row(rt::lane()), column = matrix_column(rt::lane());
  rt::post(&mine, sizeof mine, line);
  float sums[2] = {float(c.values.x), float(c.values.y)};
  for (int inner = 0; inner < 8; ++inner) {
    // A matrix is whole only if all of its lanes are there.
    if (!rt::peek(matrix_lane(row, inner), &left, sizeof left) ||
        !rt::peek(matrix_lane(inner, column), &right, sizeof right)) {
      rt::fail("a matrix of a simdgroup that is not whole", line);
    }
    for (int j = 0; j < 2; ++j) sums[j] += float(left.a[inner % 2]) * float(right.b[j]);
  }
  rt::pause(rt::Wait::simdgroup, -line);
  to.values.x = D(sums[0]);
  to.values.y = D(sums[1]);
}

}  // namespace metal
using namespace metal;

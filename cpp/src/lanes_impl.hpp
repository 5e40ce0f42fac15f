// Vectors of HOLDSTILL_LANES floats, for the kernels.
#pragma once

#include <cstring>

namespace holdstill::kernels {
namespace {

// Compilers without vector types, MSVC above all, take the same kernels with loops over the lanes;
// `make portable` tests them where there are vector types.
#if (defined(__GNUC__) || defined(__clang__)) && !defined(HOLDSTILL_NO_VECTOR_TYPES)
#define HOLDSTILL_VECTOR_TYPES
#endif

#ifdef HOLDSTILL_VECTOR_TYPES
template <int N>
struct VecOf {
  typedef float type __attribute__((vector_size(N * sizeof(float))));
};
template <int N>
using Vec = typename VecOf<N>::type;
#else
template <int N>
struct Vec {
  float lane[N];
  float operator[](int i) const { return lane[i]; }
  friend Vec operator+(Vec x, const Vec& y) {
    for (int i = 0; i < N; ++i) x.lane[i] += y.lane[i];
    return x;
  }
  friend Vec operator-(Vec x, const Vec& y) {
    for (int i = 0; i < N; ++i) x.lane[i] -= y.lane[i];
    return x;
  }
  friend Vec operator*(Vec x, const Vec& y) {
    for (int i = 0; i < N; ++i) x.lane[i] *= y.lane[i];
    return x;
  }
  friend Vec operator*(Vec x, float s) {
    for (int i = 0; i < N; ++i) x.lane[i] *= s;
    return x;
  }
  Vec& operator+=(const Vec& y) { return *this = *this + y; }
};
#endif

constexpr int kLanes = HOLDSTILL_LANES;
using V = Vec<kLanes>;

template <int N>
inline Vec<N> load(const float* p) {
  Vec<N> v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

template <int N>
inline void store(float* p, const Vec<N>& v) {
  std::memcpy(p, &v, sizeof v);
}

}  // namespace
}  // namespace holdstill::kernels

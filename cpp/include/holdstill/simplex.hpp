// Downhill simplex search of Nelder and Mead over a few parameters (equations.md §4).
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "holdstill/motion.hpp"

namespace holdstill {

struct SimplexEnd {
  Parameters point;
  double value;
  double extent;  // largest distance of a vertex from the best one, along any axis
  int evaluations, iterations;
  bool converged;
};

// Minimises objective(point) from 0: the first vertices are 0 and +-offset along each axis, the
// better of both signs.
template <typename Objective>
SimplexEnd minimize_simplex(Objective&& objective, int n, double offset, double tolerance,
                            std::int64_t max_evaluations) {
  struct Vertex {
    Parameters point;
    double value;
  };
  std::array<Vertex, kMaxParameters + 1> vertices;
  SimplexEnd end{Parameters::Zero(n), 0.0, 0.0, 0, 0, false};
  const auto evaluate = [&](const Parameters& point) {
    ++end.evaluations;
    return Vertex{point, objective(point)};
  };
  vertices[0] = evaluate(Parameters::Zero(n));
  for (int i = 0; i < n; ++i) {
    const Vertex plus = evaluate(offset * Parameters::Unit(n, i)),
                 minus = evaluate(-offset * Parameters::Unit(n, i));
    vertices[i + 1] = plus.value < minus.value ? plus : minus;
  }
  const auto last = vertices.begin() + n;
  for (;; ++end.iterations) {
    // By insertion: most are in their places, and std::stable_sort would allocate.
    for (auto next = vertices.begin() + 1; next <= last; ++next) {
      const auto place =
          std::upper_bound(vertices.begin(), next, next->value,
                           [](double value, const Vertex& vertex) { return value < vertex.value; });
      std::rotate(place, next, next + 1);
    }
    end.extent = 0.0;
    for (int i = 1; i <= n; ++i)
      end.extent =
          std::max(end.extent, (vertices[i].point - vertices[0].point).cwiseAbs().maxCoeff());
    end.converged = end.extent <= tolerance;
    if (end.converged || end.evaluations >= max_evaluations) break;

    Parameters middle = Parameters::Zero(n);
    for (int i = 0; i < n; ++i) middle += vertices[i].point / n;
    const Parameters away = middle - last->point;
    const Vertex reflected = evaluate(middle + away);
    if (reflected.value < vertices[0].value) {
      const Vertex expanded = evaluate(middle + 2.0 * away);
      *last = expanded.value < reflected.value ? expanded : reflected;
      continue;
    }
    if (reflected.value < vertices[n - 1].value) {
      *last = reflected;
      continue;
    }
    const bool outside = reflected.value < last->value;
    const Vertex contracted = evaluate(middle + (outside ? 0.5 : -0.5) * away);
    if (contracted.value < std::min(reflected.value, last->value)) {
      *last = contracted;
      continue;
    }
    for (int i = 1; i <= n; ++i)
      vertices[i] = evaluate(vertices[0].point + 0.5 * (vertices[i].point - vertices[0].point));
  }
  end.point = vertices[0].point;
  end.value = vertices[0].value;
  return end;
}

}  // namespace holdstill

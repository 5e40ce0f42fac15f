#include "texture.hpp"

#include <cmath>
#include <random>

namespace holdstill::testing {

Texture::Texture(unsigned seed) {
  std::mt19937 random(seed + 1);
  const auto uniform = [&](double low, double high) {
    return low + (high - low) * static_cast<double>(random()) / 4294967296.0;
  };
  for (int i = 0; i < 12; ++i) {
    const double angle = uniform(0.0, 6.283185307179586);
    const double k = 6.283185307179586 / uniform(20.0, 60.0);
    waves_.push_back({k * std::cos(angle), k * std::sin(angle), uniform(0.0, 6.283185307179586),
                      uniform(2.0, 9.0)});
  }
}

double Texture::at(double x, double y) const {
  double sum = 120.0;
  for (const Wave& wave : waves_)
    sum += wave.amplitude * std::sin(wave.kx * x + wave.ky * y + wave.phase);
  return sum;
}

template <typename Pixel>
FrameView Frame<Pixel>::view() const {
  constexpr PixelType type = sizeof(Pixel) == 1   ? PixelType::uint8
                             : sizeof(Pixel) == 2 ? PixelType::uint16
                                                  : PixelType::float32;
  return {
      pixels_.data(), type, height_, width_, static_cast<std::ptrdiff_t>(sizeof(Pixel)) * width_,
      sizeof(Pixel)};
}

template class Frame<std::uint8_t>;
template class Frame<std::uint16_t>;
template class Frame<float>;

Eigen::Matrix3d start(const Shape& shape, double scale) {
  const Eigen::Rotation2Dd turn(0.1);
  const CentredTransform at{scale * turn.toRotationMatrix(), {98.3, 79.6}, {0.0, 0.0}};
  return matrix(at, shape);
}

Eigen::MatrixXf dictionary(int n_atoms, const Region& region, const Sampling& sampling,
                           const Eigen::Matrix3d& at) {
  const int m = n_planes(sampling.feature) * region.n_pixels();
  const CentredTransform transform = *centred(at, region.shape());
  Eigen::MatrixXf atoms(m, n_atoms);
  Eigen::VectorXd vector(m);
  Eigen::MatrixXd jacobian(m, n_parameters(sampling.motion));
  for (int k = 0; k < n_atoms; ++k) {
    const Frame<float> frame(160, 200, Texture(static_cast<unsigned>(k)));
    Patch patch;
    patch.choose_filter(frame.view(), sampling.feature, sampling.sigma, transform);
    cover(frame.view(), region, transform, &patch);
    linearize(patch, region, sampling, transform, true, vector.data(), jacobian.data());
    atoms.col(k) = vector.cast<float>();
  }
  return atoms;
}

}  // namespace holdstill::testing

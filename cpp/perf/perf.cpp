// The hot paths of the core, by name, for instruction counts and for timings:
//
//   holdstill_perf NAME... [REPETITIONS]
//
// Everything is fixed but the processor: a rendered frame of 720 x 576, 200 x 200 canonical pixels.
// Under callgrind, started with --instr-atstart=no, each name's repetitions are a dump of
// their own; count.py reads them.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "holdstill/aligner.hpp"

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else
#define CALLGRIND_START_INSTRUMENTATION
#define CALLGRIND_STOP_INSTRUMENTATION
#define CALLGRIND_DUMP_STATS_AT(name) static_cast<void>(name)
#endif

using namespace holdstill;

namespace {

constexpr int kHeight = 576, kWidth = 720, kAtoms = 30, kActive = 5;
const Shape kShape{200, 200};

CentredTransform place(double dx) {
  return {1.4 * Eigen::Rotation2Dd(0.1).toRotationMatrix(), {360.3 + dx, 288.6}, {0.0, 0.0}};
}

// Plane waves of 20 to 60 pixels on the part of a frame that starts at (left, top). By rotation
// from pixel to pixel: sines take their time in an emulator.
class Picture {
 public:
  Picture(unsigned seed, int left, int top, int width, int height)
      : width_(width), height_(height), pixels_(static_cast<std::size_t>(width) * height, 120.0f) {
    std::mt19937 random(seed + 1);
    const auto uniform = [&](double low, double high) {
      return low + (high - low) * static_cast<double>(random()) / 4294967296.0;
    };
    for (int wave = 0; wave < 12; ++wave) {
      const double angle = uniform(0.0, 6.283185307179586);
      const double k = 6.283185307179586 / uniform(20.0, 60.0);
      const double kx = k * std::cos(angle), ky = k * std::sin(angle);
      const double phase = uniform(0.0, 6.283185307179586), amplitude = uniform(2.0, 9.0);
      const double cosine = std::cos(kx), sine = std::sin(kx);
      for (int y = 0; y < height; ++y) {
        const double first = kx * left + ky * (top + y) + phase;
        double re = amplitude * std::cos(first), im = amplitude * std::sin(first);
        float* row = pixels_.data() + static_cast<std::size_t>(y) * width;
        for (int x = 0; x < width; ++x) {
          row[x] += static_cast<float>(im);
          const double turned = re * cosine - im * sine;
          im = re * sine + im * cosine;
          re = turned;
        }
      }
    }
  }

  std::vector<std::uint8_t> rounded() const {
    std::vector<std::uint8_t> out;
    for (const float pixel : pixels_) out.push_back(static_cast<std::uint8_t>(pixel + 0.5f));
    return out;
  }

  FrameView view() const {
    return {pixels_.data(),
            PixelType::float32,
            height_,
            width_,
            static_cast<std::ptrdiff_t>(sizeof(float)) * width_,
            sizeof(float)};
  }

 private:
  int width_, height_;
  std::vector<float> pixels_;
};

// What place(0) looks at in the frame of every texture.
constexpr int kLeft = 180, kTop = 108, kSide = 361;

const std::vector<Picture>& pictures() {
  static const std::vector<Picture> rendered = [] {
    std::vector<Picture> all;
    for (unsigned seed = 0; seed < kAtoms; ++seed)
      all.emplace_back(seed, kLeft, kTop, kSide, kSide);
    return all;
  }();
  return rendered;
}

// A region, its frame and a dictionary of other textures seen through the same transform.
struct Scene {
  Scene(Feature feature, double sigma)
      : sampling{MotionModel::affine, feature, sigma},
        region(kShape, nullptr),
        frame(Picture(1, 0, 0, kWidth, kHeight).rounded()),
        view{frame.data(), PixelType::uint8, kHeight, kWidth, kWidth, 1},
        atoms(n_planes(feature) * region.n_pixels(), kAtoms) {
    Eigen::VectorXd vector(atoms.rows());
    Eigen::MatrixXd jacobian(atoms.rows(), n_parameters(sampling.motion));
    CentredTransform at = place(0.0);
    at.translation -= Eigen::Vector2d(kLeft, kTop);
    for (int k = 0; k < kAtoms; ++k) {
      cover_with(pictures()[k].view(), at);
      linearize(patch, region, sampling, at, true, vector.data(), jacobian.data());
      atoms.col(k) = vector.cast<float>();
    }
    cover_with(view, place(0.0));
    packed = pack_columns(atoms, region, sampling);
  }

  void cover_with(const FrameView& other, const CentredTransform& at) {
    patch.choose_filter(other, sampling.feature, sampling.sigma, at);
    cover(other, region, at, &patch);
  }

  Sampling sampling;
  Region region;
  std::vector<std::uint8_t> frame;
  FrameView view;
  Patch patch;
  Eigen::MatrixXf atoms;
  std::vector<float> packed;
};

// Warp, feature, derivatives, normal equations and the products with a few atoms.
void iterate(const Scene& scene, int n_left) {
  const kernels::Table& kernel = kernels::active();
  const int n_rows = scene.sampling.n_rows(), length = scene.sampling.row_length();
  std::vector<double> self(n_rows * n_rows), with_atoms(n_left * n_rows);
  std::vector<const float*> left(n_left);
  for_each_block(scene.patch, scene.region, scene.sampling, place(0.37),
                 [&](int block, const kernels::Columns& columns) {
                   kernel.self_products(columns, n_rows, length, self.data());
                   for (int k = 0; k < n_left; ++k)
                     left[k] = scene.packed.data() +
                               (static_cast<std::size_t>(block) * kAtoms + k) * length;
                   kernel.products(left.data(), n_left, columns, n_rows, length, with_atoms.data());
                 });
}

// One image's part of an iteration of RASL's inner solver, beside its linear algebra.
std::function<void()> rasl_image() {
  static constexpr int m = 200 * 200, p = 6;
  struct Image {
    std::vector<double> d, low_rank, sparse, q, target, delta, dots;
  };
  const auto image = std::make_shared<Image>(
      Image{std::vector<double>(m, 5e-3), std::vector<double>(m, 4e-3), std::vector<double>(m, 0.0),
            std::vector<double>(p * m, 5e-3), std::vector<double>(m, 5e-3),
            std::vector<double>(p, 1e-3), std::vector<double>(p)});
  return [image] {
    const kernels::Table& kernel = kernels::active();
    Image& i = *image;
    kernel.shrink_image(i.low_rank.data(), i.q.data(), m, p, 1e-3, i.target.data(), i.sparse.data(),
                        i.dots.data());
    kernel.advance_image(i.d.data(), i.low_rank.data(), i.sparse.data(), i.q.data(), m, p,
                         i.delta.data(), i.delta.data(), 0.8, i.target.data());
  };
}

std::function<void()> path(const std::string& name, std::shared_ptr<Scene> scene) {
  if (name == "prepare") return [scene] { scene->cover_with(scene->view, place(0.0)); };
  if (name == "iteration") return [scene] { iterate(*scene, kActive); };
  if (name == "warp")
    return [scene] {
      for_each_block(scene->patch, scene->region, scene->sampling, place(0.37),
                     [](int, const kernels::Columns&) {});
    };
  if (name == "review") return [scene] { iterate(*scene, kAtoms); };
  if (name == "frame") {
    const auto aligner = std::make_shared<FrameAligner>(scene->atoms, scene->region,
                                                        scene->sampling, AlignerOptions{});
    const std::shared_ptr<FrameAligner::Workspace> work = aligner->make_workspace();
    return [scene, aligner, work] {
      aligner->align(scene->view, matrix(place(1.7), kShape), work.get(), nullptr);
    };
  }
  return {};
}

std::function<void()> named(const std::string& name) {
  static std::map<std::string, std::shared_ptr<Scene>> scenes;
  if (name == "rasl-image") return rasl_image();
  const std::size_t dash = name.find('-');
  const std::string feature = name.substr(0, dash);
  if (dash == std::string::npos || (feature != "grey" && feature != "edges")) return {};
  std::shared_ptr<Scene>& scene = scenes[feature];
  if (!scene) scene = std::make_shared<Scene>(feature_from_name(feature), 0.8);
  return path(name.substr(dash + 1), scene);
}

double fastest_of(int repetitions, const std::string& name, const std::function<void()>& work) {
  double fastest = std::numeric_limits<double>::infinity();
  for (int i = 0; i < repetitions; ++i) {
    CALLGRIND_START_INSTRUMENTATION;
    const auto start = std::chrono::steady_clock::now();
    work();
    const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - start;
    CALLGRIND_STOP_INSTRUMENTATION;
    fastest = std::min(fastest, took.count());
  }
  CALLGRIND_DUMP_STATS_AT(name.c_str());
  return fastest;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> names(argv + 1, argv + argc);
  int repetitions = 1;
  if (!names.empty() && std::atoi(names.back().c_str()) > 0) {
    repetitions = std::atoi(names.back().c_str());
    names.pop_back();
  }
#if defined(__clang__)
  std::printf("compiler Clang %d.%d\n", __clang_major__, __clang_minor__);
#elif defined(__GNUC__)
  std::printf("compiler GCC %d.%d\n", __GNUC__, __GNUC_MINOR__);
#else
  std::printf("compiler of another kind\n");
#endif
  for (const std::string& name : names) {
    const std::function<void()> work = named(name);
    if (!work) {
      std::fprintf(stderr,
                   "expected rasl-image or {grey,edges}-{prepare,warp,iteration,review,frame}, "
                   "got '%s'\n",
                   name.c_str());
      return 2;
    }
    work();  // buffers grow once
    std::printf("%s %s %.1f us\n", kernels::active().name, name.c_str(),
                fastest_of(repetitions, name, work));
  }
  return 0;
}

// One hot path of the core at a time, by name, for instruction counts and for timings:
//
//   holdstill_perf NAME [REPETITIONS]
//
// Everything is fixed but the processor: a rendered frame of 720 x 576, 200 x 200 canonical pixels.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "holdstill/aligner.hpp"
#include "texture.hpp"

using namespace holdstill;

// What the counters look at: callgrind toggles its collection on this function.
extern "C" __attribute__((noinline)) void holdstill_measured(const std::function<void()>& work) {
  work();
}

namespace {

constexpr int kHeight = 576, kWidth = 720, kAtoms = 30, kActive = 5;
const Shape kShape{200, 200};

CentredTransform place(double dx) {
  return {1.4 * Eigen::Rotation2Dd(0.1).toRotationMatrix(), {360.3 + dx, 288.6}, {0.0, 0.0}};
}

// A region, its frame and a dictionary of other textures seen through the same transform.
struct Scene {
  Scene(Feature feature, double sigma)
      : sampling{MotionModel::affine, feature, sigma},
        region(kShape, nullptr),
        frame(kHeight, kWidth, testing::Texture(1)),
        view(frame.view()),
        atoms(n_planes(feature) * region.n_pixels(), kAtoms) {
    Eigen::VectorXd vector(atoms.rows());
    Eigen::MatrixXd jacobian(atoms.rows(), n_parameters(sampling.motion));
    for (int k = 0; k < kAtoms; ++k) {
      const testing::Frame<float> other(kHeight, kWidth,
                                        testing::Texture(static_cast<unsigned>(k)));
      cover_with(other.view());
      linearize(patch, region, sampling, place(0.0), true, vector.data(), jacobian.data());
      atoms.col(k) = vector.cast<float>();
    }
    cover_with(view);
    packed = pack_columns(atoms, region, sampling);
  }

  void cover_with(const FrameView& other) {
    patch.choose_filter(other, sampling.feature, sampling.sigma, place(0.0));
    cover(other, region, place(0.0), &patch);
  }

  Sampling sampling;
  Region region;
  testing::Frame<std::uint8_t> frame;
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

std::function<void()> path(const std::string& name, std::shared_ptr<Scene> scene) {
  if (name == "prepare") return [scene] { scene->cover_with(scene->view); };
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

}  // namespace

int main(int argc, char** argv) {
  const std::string name = argc > 1 ? argv[1] : "";
  const std::size_t dash = name.find('-');
  const std::string feature = name.substr(0, dash);
  std::function<void()> work;
  if (dash != std::string::npos && (feature == "grey" || feature == "edges"))
    work = path(name.substr(dash + 1), std::make_shared<Scene>(feature_from_name(feature), 0.8));
  if (!work) {
    std::fprintf(stderr, "expected {grey,edges}-{prepare,warp,iteration,review,frame}, got '%s'\n",
                 name.c_str());
    return 2;
  }
  work();  // buffers grow once
  const int repetitions = argc > 2 ? std::atoi(argv[2]) : 1;
  double fastest = std::numeric_limits<double>::infinity();
  for (int i = 0; i < repetitions; ++i) {
    const auto start = std::chrono::steady_clock::now();
    holdstill_measured(work);
    const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - start;
    fastest = std::min(fastest, took.count());
  }
  std::printf("%s %s %.1f us\n", kernels::active().name, name.c_str(), fastest);
  return 0;
}

#include <pybind11/stl.h>

#include <vector>

#include "holdstill/aligner.hpp"
#include "holdstill/coarse_to_fine.hpp"
#include "holdstill/parallel.hpp"
#include "outer_loop.hpp"
#include "register.hpp"

namespace holdstill::bindings {
namespace {

constexpr int kCoarseIterations = 50;

class PyAligner {
 public:
  // coarse: (atoms, roi, kappa) of each further level, their canonical pixels twice as wide as
  // those of the level before.
  PyAligner(const py::array& atoms, const std::pair<int, int>& shape, const std::string& motion,
            const std::string& features, double sigma, const py::object& roi, double mu,
            double tolerance, int max_iterations, const std::string& loss, double kappa,
            int acceleration, bool verify,
            const std::vector<std::tuple<py::array, py::object, double>>& coarse, bool search,
            const std::optional<std::pair<double, double>>& misfits, double visible)
      : sampling_(parse_sampling(motion, features, sigma)), shape_(parse_shape(shape)) {
    if (!(mu >= 0.0) || !std::isfinite(mu))
      throw py::value_error("mu: expected a number of at least 0, got " + std::to_string(mu));
    check_outer_loop(tolerance, max_iterations, acceleration);
    AlignerOptions options;
    options.mu = mu;
    options.tolerance = tolerance;
    options.max_iterations = max_iterations;
    options.loss = loss_from_name(loss);
    options.kappa = kappa;
    options.acceleration = acceleration;
    options.verify = verify;
    if (misfits) {
      std::tie(options.typical_misfit, options.poor_misfit) = *misfits;
      if (!(options.typical_misfit > 0.0 && options.poor_misfit > options.typical_misfit))
        throw py::value_error("misfits: expected (typical, poor), 0 < typical < poor");
    }
    if (!(visible > 0.0 && visible <= 1.0))
      throw py::value_error("visible: expected a share above 0 and at most 1, got " +
                            std::to_string(visible));
    options.typical_visible = visible;
    std::vector<ParsedLevel> levels;
    const auto add = [&](const py::array& columns, const py::object& mask, const Shape& size) {
      check_kappa(options.kappa, options.loss, loss);
      const Region region = parse_region(mask, size);
      const auto parsed = parse_columns(columns, "atoms", sampling_, region);
      // Of an atom that is all detail an octave may have nothing left.
      if (levels.empty() && (as_matrix(parsed).colwise().squaredNorm().array() == 0.0f).any())
        throw py::value_error("atoms: expected columns that are not zero");
      // A level starts from the coarser one's coefficients.
      if (parsed.shape(1) != atoms.shape(1))
        refuse("coarse", std::to_string(atoms.shape(1)) + " atoms on every level", columns);
      levels.push_back({parsed, region, options});
    };
    add(atoms, roi, shape_);
    options.pixel_tolerance = kCoarsePixels;
    options.max_iterations = std::min(kCoarseIterations, max_iterations);
    Shape size = shape_;
    for (const auto& [columns, mask, level_kappa] : coarse) {
      size = {(size.height + 1) / 2, (size.width + 1) / 2};
      options.kappa = level_kappa;
      add(columns, mask, size);
    }
    const py::gil_scoped_release release;
    std::vector<FrameAligner> aligners;
    aligners.reserve(levels.size());
    for (const ParsedLevel& level : levels)
      aligners.emplace_back(as_matrix(level.atoms), level.region, sampling_, level.options);
    std::unique_ptr<Search> searcher;
    if (search)
      searcher =
          std::make_unique<Search>(as_matrix(levels.back().atoms), levels.back().region, sampling_);
    aligner_ = std::make_unique<PyramidAligner>(std::move(aligners), std::move(searcher));
  }

  struct Result {
    py::array_t<double> frame_from_canonical;
    std::string status;
    int iterations, evaluations, n_atoms;
    double residual, quality, step, objective, gap, worst_gap, outside;
    py::array_t<double> coefficients;
    py::object weights;  // of the pixels, (h, w); none for l2
  };

  Result align(const py::array& frame, const py::array& initial) {
    const FrameView view = parse_frame(frame, "frame");
    const Eigen::Matrix3d start = parse_start(initial, "initial", shape_, sampling_.motion);
    py::array_t<double> coefficients(aligner_->finest().n_coefficients());
    double* x = coefficients.mutable_data();
    FrameAlignment a;
    Workspace work;
    {
      const py::gil_scoped_release release;
      work = take();
      a = aligner_->align(view, start, work.get(), x);
    }
    py::object weights = py::none();
    if (aligner_->finest().options().loss != Loss::l2 && a.iterations > 1)
      weights = map_of(work->weights, 1.0 / largest_weight(aligner_->finest().options().loss));
    idle_.put(std::move(work));
    return {to_array(a.frame_from_canonical),
            name_of(a.status),
            a.iterations,
            a.evaluations,
            a.n_atoms,
            a.residual,
            a.quality,
            a.step,
            a.objective,
            a.gap,
            a.worst_gap,
            a.outside,
            coefficients,
            weights};
  }

  // Frames of one stack on threads: fields as arrays of length n, one call.
  py::dict align_batch(const py::array& frames, const py::array& initial, int threads) {
    if (frames.ndim() != 3 || frames.shape(0) < 1)
      refuse("frames", "a stack of grey images (n, height, width)", frames);
    const py::ssize_t n = frames.shape(0), r = aligner_->finest().n_coefficients();
    if (threads < 0)
      throw py::value_error("threads: expected at least 0, got " + std::to_string(threads));
    const auto starts = CArray<double>::ensure(initial);
    if (!starts || starts.ndim() != 3 || starts.shape(0) != n || starts.shape(1) != 3 ||
        starts.shape(2) != 3)
      refuse("initial", "shape (n, 3, 3) = (" + std::to_string(n) + ", 3, 3)", initial);
    std::vector<py::array> slices;  // a subclass may make new arrays of its parts: they are held
    std::vector<FrameView> views;
    std::vector<Eigen::Matrix3d> matrices;
    for (py::ssize_t i = 0; i < n; ++i) {
      slices.emplace_back(frames[py::int_(i)]);
      views.push_back(parse_frame(slices.back(), "frames"));
      matrices.emplace_back(
          Eigen::Map<const Eigen::Matrix<double, 3, 3, Eigen::RowMajor>>(starts.data(i, 0, 0)));
      check_start(matrices.back(), "initial[" + std::to_string(i) + "]", shape_, sampling_.motion);
    }
    py::array_t<double> coefficients({n, r});
    double* x = coefficients.mutable_data();
    std::vector<FrameAlignment> found(n);
    {
      const py::gil_scoped_release release;
      const int used = thread_count(threads, static_cast<int>(n));
      std::vector<Workspace> work;
      work.reserve(used);
      for (int i = 0; i < used; ++i) work.push_back(take());
      parallel_for(static_cast<int>(n), used, [&](int thread, int i) {
        found[i] = aligner_->align(views[i], matrices[i], work[thread].get(), x + i * r);
      });
      for (Workspace& one : work) idle_.put(std::move(one));
    }
    return columns_of(found, coefficients);
  }

 private:
  using Workspace = std::unique_ptr<PyramidAligner::Workspace>;
  struct ParsedLevel {
    FArray<float> atoms;
    Region region;
    AlignerOptions options;
  };

  static void check_kappa(double kappa, Loss loss, const std::string& name) {
    if (loss != Loss::l2 && !(kappa > 0.0 && std::isfinite(kappa)))
      throw py::value_error("kappa: expected a positive number for loss='" + name + "', got " +
                            std::to_string(kappa));
  }

  // Pixel values in raster order as a picture, zero outside of the region.
  py::array_t<float> map_of(const std::vector<float>& values, double factor) const {
    py::array_t<float> out({shape_.height, shape_.width});
    std::fill_n(out.mutable_data(), out.size(), 0.0f);
    const Region& region = aligner_->finest().region();
    const Eigen::Vector2d c = shape_.centre();
    for (int i = 0; i < region.n_pixels(); ++i)
      out.mutable_at(static_cast<int>(std::lround(region.b(0)[i] + c[1])),
                     static_cast<int>(std::lround(region.a(0)[i] + c[0]))) =
          static_cast<float>(factor * values[i]);
    return out;
  }

  Workspace take() {
    return idle_.take([&] { return aligner_->make_workspace(); });
  }

  static py::dict columns_of(const std::vector<FrameAlignment>& found,
                             const py::array_t<double>& coefficients) {
    py::dict out = ends_of(found);
    out["iterations"] = column(found, &FrameAlignment::iterations);
    out["evaluations"] = column(found, &FrameAlignment::evaluations);
    out["n_atoms"] = column(found, &FrameAlignment::n_atoms);
    out["residual"] = column(found, &FrameAlignment::residual);
    out["quality"] = column(found, &FrameAlignment::quality);
    out["step"] = column(found, &FrameAlignment::step);
    out["objective"] = column(found, &FrameAlignment::objective);
    out["gap"] = column(found, &FrameAlignment::gap);
    out["worst_gap"] = column(found, &FrameAlignment::worst_gap);
    out["outside"] = column(found, &FrameAlignment::outside);
    out["coefficients"] = coefficients;
    return out;
  }

  Sampling sampling_;
  Shape shape_;
  std::unique_ptr<PyramidAligner> aligner_;
  WorkspacePool<Workspace> idle_;
};

// The look around a start on its own, as the twin has it.
py::tuple search_around(const py::array& image, const py::array& atoms, const py::array& initial,
                        const std::pair<int, int>& shape, const std::string& motion,
                        const std::string& features, double sigma, const py::object& roi,
                        int kept) {
  const Shape canonical = parse_shape(shape);
  const Sampling sampling = parse_sampling(motion, features, sigma);
  const Region region = parse_region(roi, canonical);
  const FrameView frame = parse_frame(image, "image");
  const Eigen::Matrix3d start = parse_matrix(initial, "initial");
  if (kept < 1) throw py::value_error("kept: expected at least 1, got " + std::to_string(kept));
  const auto columns = parse_columns(atoms, "atoms", sampling, region);
  std::vector<Search::Scored> scored;
  {
    const py::gil_scoped_release release;
    const Search search(as_matrix(columns), region, sampling, {}, kept);
    Search::Workspace work = search.make_workspace();
    search.find(frame, start, &work);
    scored = std::move(work.scored);
  }
  const py::ssize_t n = static_cast<py::ssize_t>(scored.size());
  py::array_t<double> transforms({n, py::ssize_t{3}, py::ssize_t{3}}), unexplained(n);
  for (py::ssize_t i = 0; i < n; ++i) {
    Eigen::Map<Eigen::Matrix<double, 3, 3, Eigen::RowMajor>>(transforms.mutable_data(i, 0, 0)) =
        scored[i].frame_from_canonical;
    unexplained.mutable_at(i) = scored[i].unexplained;
  }
  return py::make_tuple(transforms, unexplained);
}

}  // namespace

void register_aligner(py::module_& module) {
  using Result = PyAligner::Result;
  py::class_<Result>(module, "FrameAlignment")
      .def_readonly("frame_from_canonical", &Result::frame_from_canonical)
      .def_readonly("status", &Result::status)
      .def_readonly("iterations", &Result::iterations)
      .def_readonly("evaluations", &Result::evaluations)
      .def_readonly("n_atoms", &Result::n_atoms)
      .def_readonly("residual", &Result::residual)
      .def_readonly("quality", &Result::quality)
      .def_readonly("step", &Result::step)
      .def_readonly("objective", &Result::objective)
      .def_readonly("gap", &Result::gap)
      .def_readonly("worst_gap", &Result::worst_gap)
      .def_readonly("outside", &Result::outside)
      .def_readonly("coefficients", &Result::coefficients)
      .def_readonly("weights", &Result::weights);
  const AlignerOptions defaults;
  py::class_<PyAligner>(module, "FrameAligner")
      .def(py::init<const py::array&, const std::pair<int, int>&, const std::string&,
                    const std::string&, double, const py::object&, double, double, int,
                    const std::string&, double, int, bool,
                    const std::vector<std::tuple<py::array, py::object, double>>&, bool,
                    const std::optional<std::pair<double, double>>&, double>(),
           py::arg("atoms"), py::kw_only(), py::arg("shape"), py::arg("motion"),
           py::arg("features") = kFeatures, py::arg("sigma") = kSigma, py::arg("roi") = py::none(),
           py::arg("mu") = defaults.mu, py::arg("tolerance") = defaults.tolerance,
           py::arg("max_iterations") = defaults.max_iterations, py::arg("loss") = "l2",
           py::arg("kappa") = defaults.kappa, py::arg("acceleration") = defaults.acceleration,
           py::arg("verify") = defaults.verify,
           py::arg("coarse") = std::vector<std::tuple<py::array, py::object, double>>{},
           py::arg("search") = false, py::arg("misfits") = py::none(),
           py::arg("visible") = defaults.typical_visible)
      .def("align", &PyAligner::align, py::arg("frame"), py::arg("initial"))
      .def("align_batch", &PyAligner::align_batch, py::arg("frames"), py::arg("initial"),
           py::kw_only(), py::arg("threads") = 0);
  module.def("search", &search_around, py::arg("image"), py::arg("atoms"), py::arg("initial"),
             py::kw_only(), py::arg("shape"), py::arg("motion"), py::arg("features") = kFeatures,
             py::arg("sigma") = kSigma, py::arg("roi") = py::none(),
             py::arg("kept") = Search::kKept);
  module.attr("DEFAULT_MU") = defaults.mu;
  module.attr("REDESCENDING_SCALE") = final_scale(1.0);
  module.attr("DEFAULT_TOLERANCE") = defaults.tolerance;
  module.attr("DEFAULT_MAX_ITERATIONS") = defaults.max_iterations;
}

}  // namespace holdstill::bindings

# Every habit of the project. All set-up happens in .venv.
PYTHON ?= python3
VENV := .venv
DOCS := .venv-docs
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
CPP_BUILD := build/cpp-tests
CPP_BUILD_TYPE := Release
CPP_FLAGS :=
BENCHMARKS := rasl_peers rasl_speed l1_speed eye_corners known_truth capture_range illumination \
  occlusion verdicts generality dictionary_choice least_squares_vs_l1 shr_registration shr_choice \
  shr_users shr_verdicts shr_templates shr_recognition shr_landscape head_motion head_pose prediction \
  speed_vs_ecc reference_speed pipeline live mouth threads memory \
  same_bytes stores scale
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
SOURCES := $(shell find cpp python/holdstill -type f -not -name '*.pyc') CMakeLists.txt pyproject.toml
CORE_TESTS := $(wildcard tests/test_core_*.py) tests/test_alignment.py tests/test_free_threading.py \
  tests/test_live.py tests/test_rasl.py

# One build tree for the core's tests and for the counts: the core is compiled once.
CONFIGURE = PATH="$(CURDIR)/$(BIN):$$PATH" cmake -S . -B $(CPP_BUILD) -G Ninja \
  --log-level=WARNING -DHOLDSTILL_WERROR=ON \
  -DSKBUILD_PROJECT_VERSION=0 -DSKBUILD_PROJECT_VERSION_FULL=$(VERSION) \
  -DCMAKE_BUILD_TYPE=$(CPP_BUILD_TYPE) -DCMAKE_CXX_FLAGS="$(CPP_FLAGS)" \
  -DPython_EXECUTABLE="$(CURDIR)/$(BIN)/python" \
  -Dpybind11_DIR="$$($(BIN)/python -m pybind11 --cmakedir)"

.PHONY: demo test cpp-configure cpp-test perf-check perf-record bench paper lint format docs gallery \
  asan ubsan tsan portable coverage tidy fuzz fault wheels clean

demo: $(VENV)/.demo
	rm -rf holdstill-demo
	$(BIN)/holdstill demo --out holdstill-demo

# One BLAS thread: the tests' products are small, and waiting threads slow a busy machine down.
test: $(VENV)/.installed cpp-test
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest --doctest-modules --pyargs holdstill

# What can go wrong with a long run, at many moments: some minutes.
fault: $(VENV)/.installed
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -s -m "fault or not fault" tests/test_faults_*.py

bench: $(VENV)/.bench
	failed=; for name in $(BENCHMARKS); do $(BIN)/python benchmarks/$$name.py || failed="$$failed $$name"; \
	done; [ -z "$$failed" ] || { echo "claims that do not hold:$$failed"; exit 1; }

# The published experiments, on the page that shows them.
paper: $(VENV)/.bench
	$(BIN)/python benchmarks/paper.py --out docs/paper.md

lint: $(VENV)/.lint $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run --Werror $$(find cpp -name '*.cpp' -o -name '*.hpp')
	$(BIN)/python -m mypy
	MYPYPATH=python $(BIN)/python -m mypy.stubtest holdstill._core \
	  --mypy-config-file pyproject.toml --ignore-disjoint-bases

format: $(VENV)/.lint
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $$(find cpp -name '*.cpp' -o -name '*.hpp')

# The site, in build/site; a warning is an error.
docs: $(DOCS)/.installed
	$(DOCS)/bin/python -m sphinx -q -W --keep-going -b html -d build/doctrees docs build/site
	@echo "build/site/index.html"

# The pictures of the page, by its own blocks.
gallery: $(VENV)/.installed
	$(BIN)/python docs/run_page.py docs/gallery.md docs/images/gallery

cpp-configure: $(VENV)/.base
	$(CONFIGURE)

# The core's own tests: they need doctest's header from the system's packages.
cpp-test: $(VENV)/.installed
	@if [ -z "$$(find /usr/include /usr/local/include /opt -name doctest.h 2>/dev/null | head -n 1)" ]; then \
	  echo "no doctest.h: C++ tests skipped (install the system package doctest-dev to run them)"; \
	else \
	  $(CONFIGURE) -DHOLDSTILL_TESTS=ON && \
	  PATH="$(CURDIR)/$(BIN):$$PATH" cmake --build $(CPP_BUILD) --target holdstill_tests && \
	  $(BIN)/ctest --test-dir $(CPP_BUILD) --output-on-failure; fi

# Counts of instructions, where timings would depend on the machine and on its other work.
perf-check perf-record: $(VENV)/.base
	@if command -v valgrind >/dev/null; then \
	  $(CONFIGURE) -DHOLDSTILL_PERF=ON && \
	  PATH="$(CURDIR)/$(BIN):$$PATH" cmake --build $(CPP_BUILD) --target holdstill_perf && \
	  $(BIN)/python cpp/perf/count.py $(CPP_BUILD)/cpp/perf/holdstill_perf \
	    $(if $(filter perf-record,$@),--record); \
	else \
	  echo "no valgrind: instructions are not counted (install the system package valgrind)"; fi

# The core with instruments in it, tested, and a package around it in build/$@/package.
# Not at -O3: the checks in unrolled loops would compile for a quarter of an hour.
define INSTRUMENTED
$(MAKE) cpp-configure cpp-test CPP_BUILD=build/$@ CPP_BUILD_TYPE=None CPP_FLAGS="-O1 -g1 $(INSTRUMENTS)"
PATH="$(CURDIR)/$(BIN):$$PATH" cmake --build build/$@ --target _core _blas
rm -rf build/$@/package && mkdir build/$@/package && cp -r python/holdstill build/$@/package/
cp build/$@/*.so build/$@/package/holdstill/
endef

# In the core's own tests and in those of Python that call it most directly. Leaks are looked for in
# the former alone: the interpreter keeps what it has allocated until it ends.
STRICT := -fno-omit-frame-pointer -fno-sanitize-recover=all
asan: INSTRUMENTS := -fsanitize=address,undefined $(STRICT)
asan: RUNTIME := LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libstdc++.so)" \
  ASAN_OPTIONS=detect_leaks=0
ubsan: INSTRUMENTS := -fsanitize=undefined $(STRICT)
tsan: INSTRUMENTS := -fsanitize=thread $(STRICT)
# OpenCV's own threads are not compiled with the sanitizer, which then misses how they wait.
tsan: RUNTIME := LD_PRELOAD="$$(gcc -print-file-name=libtsan.so)" \
  TSAN_OPTIONS=ignore_noninstrumented_modules=1
asan ubsan tsan: $(VENV)/.installed
	$(INSTRUMENTED)
	$(RUNTIME) PYTHONPATH=$(CURDIR)/build/$@/package OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest \
	  -p no:cacheprovider --capture=sys $(CORE_TESTS)

# The core's tests of what compilers without vector types, such as MSVC, make of its kernels.
portable: $(VENV)/.base
	$(MAKE) cpp-test CPP_BUILD=build/$@ CPP_FLAGS=-DHOLDSTILL_NO_VECTOR_TYPES

# Lines and branches that the tests reach, of Python and of the core; below the floors it fails.
coverage: INSTRUMENTS := --coverage -fprofile-update=atomic
coverage: $(VENV)/.installed $(VENV)/.coverage
	$(INSTRUMENTED)
	PYTHONPATH=$(CURDIR)/build/$@/package OPENBLAS_NUM_THREADS=1 $(BIN)/python -m coverage run -m pytest
	failed=; $(BIN)/python -m coverage report || failed=1; \
	$(BIN)/gcovr --config gcovr.cfg build/$@ || failed=1; [ -z "$$failed" ]

# What clang's analyses find in the core; .clang-tidy says which. Some minutes.
tidy: $(VENV)/.tidy
	$(CONFIGURE) -DCMAKE_EXPORT_COMPILE_COMMANDS=ON
	$(BIN)/run-clang-tidy.py -quiet -clang-tidy-binary $(BIN)/clang-tidy -p $(CPP_BUILD) \
	  '$(CURDIR)/cpp/(src|bindings)/'

# The part of a release that this machine can do; PYTHONS are interpreters to build for.
wheels:
	.ci/wheels $(PYTHONS)

# Minutes in place of the seconds that `make test` takes: random examples, then guided by coverage.
FUZZ_SECONDS := 60
FUZZ_TARGETS := dictionary faces motion csv parquet pts points manifest image stack video
fuzz: $(VENV)/.fuzz
	HOLDSTILL_FUZZ_EXAMPLES=2000 $(BIN)/python -m pytest tests/test_properties_*.py
	$(BIN)/python fuzz/corpus.py build/fuzz
	set -e; for target in $(FUZZ_TARGETS); do $(BIN)/python fuzz/readers.py $$target \
	  -max_total_time=$(FUZZ_SECONDS) -artifact_prefix=build/fuzz/ build/fuzz/$$target; done

$(VENV)/.base:
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --upgrade pip
	$(PIP) install "scikit-build-core>=0.10" "pybind11>=2.13" "cython>=3.1" "numpy>=1.26" \
	  "scipy>=1.11" "cmeel-eigen>=3.4,<3.5" cmake ninja
	touch $@

# Built in place of an isolated build: a second build recompiles what has changed only. The demo
# waits for little, the tests bring everything that they compare with.
$(VENV)/.demo: EXTRAS := cli,plot
$(VENV)/.installed: EXTRAS := test,browser
$(VENV)/.demo $(VENV)/.installed: $(VENV)/.base $(SOURCES)
	$(PIP) install --no-build-isolation -C cmake.define.HOLDSTILL_WERROR=ON ".[$(EXTRAS)]"
	touch $@

$(VENV)/.bench: $(VENV)/.installed
	$(PIP) install --no-build-isolation ".[bench]"
	touch $@

# The tools of the site stand apart; the core is not compiled for them again.
$(DOCS)/.installed: $(VENV)/.base $(SOURCES)
	rm -rf build/wheel
	$(PIP) wheel --no-build-isolation --no-deps -C cmake.define.HOLDSTILL_WERROR=ON -w build/wheel .
	$(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/python -m pip --disable-pip-version-check -q install --force-reinstall --no-deps \
	  build/wheel/*.whl
	$(DOCS)/bin/python -m pip --disable-pip-version-check -q install \
	  "$$(ls build/wheel/*.whl)[docs]"
	touch $@

$(VENV)/.lint: $(VENV)/.base
	$(PIP) install "ruff==0.17.*" "mypy==2.*" "clang-format==23.*"
	touch $@

$(VENV)/.tidy: $(VENV)/.base
	$(PIP) install "clang-tidy==23.*"
	touch $@

$(VENV)/.coverage: $(VENV)/.base
	$(PIP) install "coverage==7.*" "gcovr==8.*"
	touch $@

clean:
	rm -rf build dist $(VENV) $(DOCS) .mypy_cache .ruff_cache .pytest_cache holdstill-demo

$(VENV)/.fuzz: $(VENV)/.installed
	$(PIP) install "atheris>=2.3"
	touch $@

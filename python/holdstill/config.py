"""What this installation runs on."""

from __future__ import annotations

import platform

from holdstill import _core

_OPTIONAL = ("av", "opencv-python-headless", "pillow", "pyarrow", "fsspec", "zarr", "matplotlib")


def show_config() -> dict[str, str]:
    """Print, and return, the versions and the instruction set in use.

    The instruction set is the best that the processor has; the environment variable
    ``HOLDSTILL_ISA`` names another.

    Returns
    -------
    dict of str to str

    Examples
    --------
    >>> config = show_config()  # doctest: +ELLIPSIS
    holdstill ...
    >>> config["instruction set"] in config["instruction sets available"]
    True
    """
    import importlib.metadata  # slow, and needed here alone

    config = {
        "holdstill": importlib.metadata.version("holdstill"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": processor(),
        "instruction set": _core.instruction_set(),
        "instruction sets available": ", ".join(_core.instruction_sets()),
        "eigen": _core.eigen_version(),
        "blas": "SciPy's, through scipy.linalg.cython_blas",
    }
    for package in ("numpy", "scipy", *_OPTIONAL):
        try:
            config[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            config[package] = "not installed"
    width = max(map(len, config))
    print("\n".join(f"{name:{width}}  {value}" for name, value in config.items()))
    return config


def processor() -> str:
    """The processor's name, as the operating system gives it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()

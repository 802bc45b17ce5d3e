"""Where the files of MNIST and Fashion-MNIST lie, and how to recognise them.

They are looked for

1. in `directory`, if given: in its subfolder ``mnist`` or ``fashion``, in itself, and nowhere else;
2. in the same two places of the folder that the environment variable ``GRADFLOW_DATA_DIR`` names;
3. in the cache, ``pooch.os_cache("gradflow")``;
4. on two mirrors, only with ``download=True``.

A folder counts if it holds all four files. Both sets give their files the same names, so only the SHA-256 of
a file tells what it is, and whoever reads one checks it: a set can be absent, but never be another one than
was requested.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import NamedTuple

__all__ = ["FASHION_MNIST", "MNIST", "ImageSet", "locate"]


def locate(image_set: ImageSet, directory: str | PathLike[str] | None = None, download: bool = False) -> Path:
    """Return the first folder, in the order above, that holds all files of `image_set`.

    Files are only looked for here; `gradflow.datasets.read_idx` checks them.

    Parameters
    ----------
    image_set : ImageSet
        Which files.
    directory : path-like, optional
        The only place to look in.
    download : bool
        Whether to fetch what is nowhere.

    Raises
    ------
    FileNotFoundError
        If no directory is found, with the places searched and advice; or if no mirror delivered a file, with the
        reason.
    """
    looked: list[Path] = []
    for folder in _places(image_set, directory):
        if all((folder / name).is_file() for name in image_set.sha256):
            return folder
        looked.append(folder)
    if download:
        return _fetch(image_set, looked[-1] if directory is None else looked[0])
    raise FileNotFoundError(
        f"{image_set.title} is in none of {', '.join(map(str, looked))}: a folder must hold all of "
        f"{', '.join(image_set.sha256)}. Pass directory=..., or set GRADFLOW_DATA_DIR to a folder with a "
        f"subfolder '{image_set.folder}', or pass download=True to fetch the files"
    )


def _places(image_set: ImageSet, directory: str | PathLike[str] | None) -> Iterator[Path]:
    """Yield the folders where `image_set` may lie: the cache last, or the subfolder of `directory` first."""
    root = os.environ.get("GRADFLOW_DATA_DIR") if directory is None else directory
    if root is not None and root != "":
        yield Path(root).expanduser() / image_set.folder
        yield Path(root).expanduser()
    if directory is None:
        import pooch  # only now: most calls do without it

        yield Path(pooch.os_cache("gradflow")) / image_set.folder


def _fetch(image_set: ImageSet, folder: Path) -> Path:
    """Put the missing files of `image_set` into `folder`, from the first mirror that has the right ones."""
    import pooch

    # The files are compressed already: ask for the bytes as they are, whose hash is known.
    downloader = pooch.HTTPDownloader(headers={"Accept-Encoding": "identity"})
    for name, sha256 in image_set.sha256.items():
        if (folder / name).exists():
            continue  # never overwritten; if it is the wrong one, reading it raises an error
        failures = []
        for mirror in image_set.mirrors:
            try:
                pooch.retrieve(mirror + name, f"sha256:{sha256}", name, folder, downloader=downloader)
                break
            except (OSError, ValueError) as error:  # no connection, no such file; wrong hash
                failures.append(f"{mirror + name}: {error}")
        else:
            raise FileNotFoundError(f"no mirror delivered {image_set.title}: " + "; ".join(failures))
    return folder


class ImageSet(NamedTuple):
    """Four files, how to recognise them, and where to get them."""

    title: str
    """The name for messages."""
    folder: str
    """The name of the subfolder that holds the files."""
    sha256: Mapping[str, str]
    """SHA-256 of each (compressed) file by its name."""
    mirrors: tuple[str, ...]
    """Addresses which a file name is appended to, in the order they are tried."""


MNIST = ImageSet(
    "MNIST",
    "mnist",
    {
        "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    },
    (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
)
"""The handwritten digits."""

FASHION_MNIST = ImageSet(
    "Fashion-MNIST",
    "fashion",
    {
        "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    },
    (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
)
"""The pictures of clothes."""

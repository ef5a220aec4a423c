"""Data sets with one signature, and the folder where they lie.

==================  ====================================================================  =====================
function            what it gives                                                         where it comes from
==================  ====================================================================  =====================
``digits``          1,797 real handwritten digits, 8 by 8                                 part of scikit-learn
``font_digits``     as many typeset digits as you like, bent by random writers            matplotlib's fonts
``font_alphabets``  1,000 letters of 13 alphabets, 20 images each, split by alphabet      matplotlib's fonts
``sinusoids``       a task family: sine waves of random amplitude and phase               a formula
``quadratics``      tasks whose risks are bowls of given curvatures and minima             a formula
``omniglot``        1,623 characters of 50 alphabets, each drawn by 20 people, 28 by 28   archives or a download
``cifar10``         60,000 colour photographs of 10 kinds of things, 32 by 32             files or a download
``mnist``           70,000 handwritten digits, 28 by 28                                   files or a download
``fashion_mnist``   70,000 pieces of clothing, 28 by 28                                   files or a download
==================  ====================================================================  =====================

The last four are looked for in `data_root()`, or in the ``folder`` that is passed, in the layout of torchvision. Where they
are not, the answer is `NotThere`, never other data.
"""

from metautil.datasets.cache import CacheWarning, data_root
from metautil.datasets.digits import digits
from metautil.datasets.fonts import font_alphabets, font_digits
from metautil.datasets.images import cifar10, fashion_mnist, mnist
from metautil.datasets.omniglot import omniglot
from metautil.datasets.quadratics import quadratics
from metautil.datasets.sinusoids import sinusoids
from metautil.datasets.sources import DamagedData, DownloadFailed, NotThere

__all__ = [
    "CacheWarning", "DamagedData", "DownloadFailed", "NotThere", "cifar10", "data_root", "digits", "fashion_mnist",
    "font_alphabets", "font_digits", "mnist", "omniglot", "quadratics", "sinusoids",
]  # fmt: skip

"""Data sets with one signature, and the folder where they lie.

==================  ====================================================================  =====================
function            what it gives                                                         where it comes from
==================  ====================================================================  =====================
``digits``          1,797 real handwritten digits, 8 by 8                                 part of scikit-learn
``font_digits``     as many typeset digits as you like, bent by random writers            matplotlib's fonts
``font_alphabets``  1,000 letters of 13 alphabets, 20 images each, split by alphabet      matplotlib's fonts
``sinusoids``       a task family: sine waves of random amplitude and phase               a formula
==================  ====================================================================  =====================
"""

from metautil.datasets.cache import CacheWarning, data_root
from metautil.datasets.digits import digits
from metautil.datasets.fonts import font_alphabets, font_digits
from metautil.datasets.sinusoids import sinusoids

__all__ = ["CacheWarning", "data_root", "digits", "font_alphabets", "font_digits", "sinusoids"]

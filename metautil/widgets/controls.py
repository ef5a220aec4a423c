"""What a reader may set: a number with its range, or one of a few named options."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass

SCALES = ("log", "linear", "integer")


def plain(value: float) -> str:
    """The shortest text that reads back as the same number, whole ones without a point: 0.1, 3, 1e-05."""
    whole = float(value).is_integer() and abs(value) < 1e15
    return str(int(value)) if whole else repr(float(value))


@dataclass(frozen=True)
class Slider:
    """The range of one number that a reader may set.

    Parameters
    ----------
    symbol, name : str
        As in the text, e.g. ``"η"`` and ``"step size"``.
    low, high : float
        Ends of the range, both included.
    default : float
        Where the slider starts and where the reset button leads; always one of the stops.
    scale : {"log", "linear", "integer"}
        How the stops are spread. A logarithmic scale has positive ends; its stops are rounded to 2 digits.
    n : int
        About how many stops (rounding may merge neighbours; the default may add one).
    zero : bool
        Put 0 before the first stop of a logarithmic scale.
    choices : tuple of float
        If given, only these values can be set (what was measured, say); ``scale``, ``n`` and ``zero`` do not matter.

    Raises
    ------
    ValueError
        If the range is empty or not finite, or the default lies outside it.
    """

    symbol: str
    name: str
    low: float
    high: float
    _: KW_ONLY
    default: float
    scale: str = "log"
    n: int = 41
    zero: bool = False
    choices: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "choices", tuple(sorted(self.choices)))
        low, high, log = self.low, self.high, self.scale == "log"
        if self.choices:
            fits = low <= self.choices[0] and self.choices[-1] <= high and self.default in self.choices
            wrong = {f"choices={self.choices}; expected them from low to high, the default among them": not fits}
        else:
            whole = all(float(value).is_integer() for value in (low, high, self.default))
            wrong = {
                f"scale is {self.scale!r}; expected one of {', '.join(SCALES)}": self.scale not in SCALES,
                f"low={low}, high={high}; expected finite ends with low < high": not -math.inf < low < high < math.inf,
                f"a log scale needs low > 0, not {low}; zero=True adds a stop at 0": log and low <= 0,
                f"zero=True belongs to a log scale; let a {self.scale} one start at low=0": self.zero and not log,
                "an integer scale needs whole low, high and default": self.scale == "integer" and not whole,
                f"n={self.n} stops; expected at least 2": self.n < 2,
                f"default={self.default}; expected {self.takes}": not self._holds(self.default),
            }
        for words in (words for words, so in wrong.items() if so):
            raise ValueError(f"Slider {self.symbol}: {words}.")

    def _holds(self, value: float) -> bool:
        if self.choices:
            return value in self.choices
        return self.low <= value <= self.high or (self.zero and value == 0)

    @property
    def takes(self) -> str:
        """The range in words."""
        if self.choices:
            return f"one of {', '.join(map(plain, self.choices))}"
        kind = "a whole number" if self.scale == "integer" else "a number"
        return f"{kind} from {plain(self.low)} to {plain(self.high)}{', or 0' if self.zero else ''}"

    @property
    def label(self) -> str:
        """Symbol and name in one line."""
        return f"{self.symbol}  {self.name}"

    def setting(self, value: float) -> str:
        """How a line of text says that this value is set."""
        return f"{self.symbol} = {plain(value)}"

    def stops(self) -> tuple[float, ...]:
        """The values that dragging reaches, ascending: the ends, the default, and evenly spread values, rounded."""
        if self.choices:
            return self.choices
        shares = [i / (self.n - 1) for i in range(1, self.n - 1)]
        if self.scale == "log":
            inner = [float(f"{self.low * (self.high / self.low) ** share:.1e}") for share in shares]
        else:
            step = (self.high - self.low) / (self.n - 1)
            digits = 0 if self.scale == "integer" else 2 - math.floor(math.log10(step))
            inner = [round(self.low + share * (self.high - self.low), digits) for share in shares]
        stops = {self.low, self.high, self.default, *(v for v in inner if self.low < v < self.high)}
        stops |= {0.0} if self.zero else set()
        number = int if self.scale == "integer" else float
        return tuple(sorted(number(value) for value in stops))

    def nearest(self, value: float) -> int:
        """Position, among the stops, of the one next to a value."""
        stops = self.stops()
        return min(range(len(stops)), key=lambda i: abs(stops[i] - value))

    def parse(self, typed: str) -> float:
        """Read a typed value, which may lie between the stops.

        Raises
        ------
        ValueError
            In words for the learner: what was typed, what is expected.
        """
        text = " ".join(typed.split()).replace("−", "-")  # on one line, as the refusals are
        seen = f"“{text if len(text) <= 30 else text[:30] + '…'}”"
        wanted = f"{self.symbol} takes {self.takes}"
        if not text:
            raise ValueError(f"Nothing was typed: {wanted}.")
        if "," in text:
            raise ValueError(f"{seen} has a comma: write decimals with a point, as in 0.5; {wanted}.")
        try:
            value = float(text)
        except ValueError:
            raise ValueError(f"{seen} is not a number: {wanted}.") from None
        if not self._holds(value):
            raise ValueError(f"{seen} is {'not among the choices' if self.choices else 'outside the range'}: {wanted}.")
        if self.scale != "integer" or self.choices:
            return value + 0.0  # -0 becomes 0
        if not value.is_integer():
            raise ValueError(f"{seen} is not whole: {wanted}.")
        return int(value)


@dataclass(frozen=True)
class Choice:
    """A few named options, of which a reader sets one: a row of buttons, reached and pressed by keyboard too.

    Parameters
    ----------
    label : str
        What is chosen, e.g. ``"rule"``; the setting line reads ``rule = derived``.
    options : tuple of str
        Two or more different names, in the order of the buttons.
    default : str
        Which is set at the start and by the reset button.

    Raises
    ------
    ValueError
        If the label or an option is empty, there are fewer than two options or two of one name, or the default is none.
    """

    label: str
    options: tuple[str, ...]
    default: str

    def __post_init__(self) -> None:
        who, options = f"Choice {self.label!r}", tuple(self.options)
        object.__setattr__(self, "options", options)
        if not self.label.strip():
            raise ValueError(f"{who}: the label is empty; say what is chosen.")
        if len(set(options)) < max(2, len(options)) or not all(isinstance(o, str) and o.strip() for o in options):
            raise ValueError(f"{who}: options={options}; expected two or more different names that are not empty.")
        if self.default not in options:
            raise ValueError(f"{who}: default={self.default!r}; expected one of {', '.join(options)}.")

    def setting(self, option: str) -> str:
        """How a line of text says that this option is set."""
        return f"{self.label} = {option}"

    def stops(self) -> tuple[str, ...]:
        """The options: what a sweep over all settings goes through."""
        return self.options


Control = Slider | Choice

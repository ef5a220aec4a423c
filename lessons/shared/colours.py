"""The colours of all figures: the palette of Okabe and Ito (2008), which colour-blind readers can tell apart.

What a colour says, a marker or a line style says too.
"""

BLACK, ORANGE, SKY, GREEN, BLUE, VERMILION, GREY = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#777777",
)  # fmt: skip

"""How alike two representations are: linear centred kernel alignment."""

from __future__ import annotations

from torch import Tensor


def linear_cka(a: Tensor, b: Tensor) -> Tensor:
    """Similarity of two sets of features of the same inputs, from 0 to 1 (Kornblith et al., 2019).

    ‖A'ᵀB'‖² / (‖A'ᵀA'‖ ‖B'ᵀB'‖) with Frobenius norms and A', B' centred over the inputs, formula (14.11). 1 where one set is a
    rotation of the other, a multiple of it, or shifted; it compares the sets of distances between inputs.

    Parameters
    ----------
    a, b : Tensor
        Features, shapes (..., N, F) and (..., N, G), of the same N inputs in the same order.

    Returns
    -------
    Tensor
        Shape (...). With few inputs and many features also unrelated sets are rather alike: compare with such a pair.

    Raises
    ------
    ValueError
        If the numbers of inputs differ.
    """
    if a.shape[-2] != b.shape[-2]:
        raise ValueError(
            f"The features are of {a.shape[-2]} and of {b.shape[-2]} inputs; both must be of the same inputs, in rows."
        )
    # ‖AᵀB‖² = Σ (AAᵀ ∘ BBᵀ): tables of N × N, smaller than those of F × G where the features are many.
    tables = [(centred @ centred.mT).flatten(-2) for centred in (part - part.mean(-2, keepdim=True) for part in (a, b))]
    return (tables[0] * tables[1]).sum(-1) / (tables[0].norm(dim=-1) * tables[1].norm(dim=-1))

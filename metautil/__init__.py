"""metautil: the helper package of the course *Everything Is a Mapping*.

Plain functions on explicit parameters, named after the mappings of the course:

======================  =============================  ==============================
mapping                 type                           where
======================  =============================  ==============================
model M_θ               𝒳 → 𝒴                          ``models``
loss ℓ                  𝒴 × 𝒴 → ℝ                      ``risks``
risk L_D                Θ → ℝ                          ``risks.empirical_risk``
update rule U           (gradient, state) →            ``updates``
                        (step, state)
task family             generator → tasks              ``tasks``, ``datasets``
learner                 (φ, support set) → predictor   ``learners``
======================  =============================  ==============================

The parameters θ are one flat vector, as in the mathematics: θ − η∇L is written ``theta - eta * gradient``.
"""

from metautil.settings import begin

__all__ = ["begin"]

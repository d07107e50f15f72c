"""RAM-APL as a method: its score depends on the rate."""

from ms_coreset.evidence import Evidence
from ms_coreset.selectors.catalogue import method
from ms_coreset.selectors.option_values import Positive
from ms_coreset.selectors.quota import Request
from ms_coreset.selectors.score_and_rule import keep_by
from ms_coreset.selectors.scores.ram_apl import FACTS, Part
from ms_coreset.selectors.scores.ram_apl import ram_apl as score
from ms_coreset.selectors.selection import Selection


@method("ram_apl", **FACTS, parallel="scores")
def ram_apl(evidence: Evidence, request: Request, a: Part = 0.2, kappa: Positive = 1.0) -> Selection:
    """Samples near their class's mean and not nearer to another one's: the score ``ram_apl`` with ``kept`` = rate.

    Args:
        evidence: with labels and ``features``, or with several networks' in ``runs``.
        request: rate, balance, seed and memory, see ``quota.Request``.
        a: see the score ``ram_apl``.
        kappa: see the score ``ram_apl``.

    Returns:
        The picks, a ``Selection``.
    """
    return keep_by("top", score.__name__, evidence, request, kept=float(request.rate), a=a, kappa=kappa)

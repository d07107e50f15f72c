"""Any score with any rule, and the cut-off before the rule."""

from typing import Any

from ms_coreset.arrays import plain
from ms_coreset.evidence import Evidence
from ms_coreset.selectors import on_ranks
from ms_coreset.selectors.catalogue import RULES, SCORES, SEED, Entry
from ms_coreset.selectors.normalization import NORMALIZATION, NORMALIZE, Range, normalize_scores
from ms_coreset.selectors.quota import Request
from ms_coreset.selectors.selection import Selection


def by_score(evidence: Evidence, request: Request, score: str, rule: str = "top", normalize: Range = "none",
             **options: Any) -> Selection:
    """Select by any score and any rule.

    Args:
        evidence: what is known of the samples.
        request: rate, balance, seed and memory, see ``quota.Request``.
        score: name of the score.
        rule: name of the rule.
        normalize: see ``normalization.normalize_scores``.
        **options: of the score and of the rule; an option that both have goes to both.

    Returns:
        The picks, a ``Selection``.
    """
    entry, drawn = SCORES[score], RULES[rule]
    NORMALIZATION.check_options({NORMALIZE: normalize})
    of_rule = {name: value for name, value in options.items() if name in drawn.options}
    options = {name: value for name, value in options.items() if name not in of_rule or name in entry.options}
    entry.check_options(options)
    drawn.check_options(of_rule)
    options, of_rule = with_seed(entry, request, plain(options)), plain(of_rule)
    entry.require(evidence, options)
    drawn.require(evidence, of_rule)
    NORMALIZATION.require(evidence, {NORMALIZE: normalize})
    values = normalize_scores(on_ranks.values(entry, evidence, options), evidence.groups, normalize)
    return drawn.function(values, evidence, request, **of_rule)._replace(scores=values)


def keep_by(rule: str, name: str, evidence: Evidence, request: Request, **options: Any) -> Selection:
    """Select by the score ``name`` and a rule without options."""
    values = on_ranks.values(SCORES[name], evidence, with_seed(SCORES[name], request, options))
    return RULES[rule].function(values, evidence, request)._replace(scores=values)


def with_seed(score: Entry, request: Request, options: dict[str, Any]) -> dict[str, Any]:
    """A score's options, with the request's seed where it draws at random: it has an option ``seed`` then."""
    return {SEED: request.seed, **options} if SEED in score.options else options

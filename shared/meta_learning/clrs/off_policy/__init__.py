"""What another policy or version would have earned, judged on feedback that the current one collected (off-policy estimates)."""

from meta_learning.clrs.off_policy.estimators import OffPolicyEstimate, effective_sample_size, estimate
from meta_learning.clrs.off_policy.logged import Logged
from meta_learning.clrs.off_policy.replaying import Replayed, replayed, what_if

__all__ = [
    "Logged",
    "OffPolicyEstimate",
    "Replayed",
    "effective_sample_size",
    "estimate",
    "replayed",
    "what_if",
]

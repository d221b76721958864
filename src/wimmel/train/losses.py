"""Losses for a Trainer: functions of a network's scores and the labels that give one number, the smaller the better.

They are those of `wimmel.functional` under short names. To change a setting of one, hand the Trainer a partial:
``functools.partial(cross_entropy, label_smoothing=0.1)``. Any function of (scores, labels) written with wimmel's
functions will do as well.
"""

from wimmel.functional import binary_cross_entropy_with_logits as binary_cross_entropy
from wimmel.functional import cross_entropy
from wimmel.functional import huber_loss as huber
from wimmel.functional import l1_loss as l1
from wimmel.functional import mse_loss as mse
from wimmel.functional import nll_loss as negative_log_likelihood
from wimmel.functional import smooth_l1_loss as smooth_l1

__all__ = ["binary_cross_entropy", "cross_entropy", "huber", "l1", "mse", "negative_log_likelihood", "smooth_l1"]

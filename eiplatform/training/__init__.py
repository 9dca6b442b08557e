"""Train an E-I network: small, deterministic, resumable, with a test split that is read once.

Every random choice is a function of (seed, purpose, epoch, iteration), so a resumed run needs no state of
any generator: it ends with the same weights, bit for bit (same device and number of threads).
Checkpoints are chosen on a validation split; the test split is opened after the last epoch.
"""

from __future__ import annotations

from eiplatform.training.evaluation import Evaluation, evaluate
from eiplatform.training.files import TrainResult
from eiplatform.training.loop import fit
from eiplatform.training.machine import describe
from eiplatform.training.run import initialise
from eiplatform.training.schedule import epoch_order, learning_rate

__all__ = ["Evaluation", "TrainResult", "describe", "epoch_order", "evaluate", "fit", "initialise", "learning_rate"]

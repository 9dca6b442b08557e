"""Studies: a whole question declared in YAML, run step by step, each step only when it must be.

A study names trainings, recordings, simulations, analyses and figures, and what each takes from
which.  The steps call the functions that the commands call.  Scheduling is that of the standard
library (:mod:`graphlib`, :mod:`multiprocessing`).
"""

from eiplatform.callable import make_callable
from eiplatform.study.graph import Graph, Step, expand
from eiplatform.study.reading import find_study, load_study, study_names
from eiplatform.study.run import Outcome, run_study
from eiplatform.study.spec import Study
from eiplatform.study.status import Status, status_of

__all__ = [
    "Graph",
    "Outcome",
    "Status",
    "Step",
    "Study",
    "expand",
    "find_study",
    "load_study",
    "run_study",
    "status_of",
    "study_names",
]

make_callable(__name__, "eiplatform.front.studies")

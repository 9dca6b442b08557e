"""The configuration of a training run: read strictly, frozen, and hashed.

Nothing is guessed: an unknown key, a value of the wrong type or an impossible number is one
clear message.  This module needs neither torch nor any data.
"""

from eiplatform.config.feedback import FeedbackConfig
from eiplatform.config.network import NetworkConfig, NeuronConfig, PropConfig
from eiplatform.config.reading import parse_assignment, parse_model, read_yaml
from eiplatform.config.run import Config, config_hash, load_config, parse_config
from eiplatform.config.training import DatasetConfig, TrainingConfig

__all__ = [
    "Config",
    "DatasetConfig",
    "FeedbackConfig",
    "NetworkConfig",
    "NeuronConfig",
    "PropConfig",
    "TrainingConfig",
    "config_hash",
    "load_config",
    "parse_assignment",
    "parse_config",
    "parse_model",
    "read_yaml",
]

"""The viewer: a whole recording in the browser, read as it is looked at; ``eiplatform view RUN``."""

from eiplatform.viewer.server import Viewer

__all__ = ["Viewer"]

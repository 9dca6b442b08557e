"""Write the README's example as a script: ``python tests/minimal/notebook.py README.md notebook.py``."""

from __future__ import annotations

import re
import sys
from pathlib import Path

if __name__ == "__main__":
    (text,) = re.findall(r"```python\n(.*?)```", Path(sys.argv[1]).read_text(), re.S)
    Path(sys.argv[2]).write_text(text)

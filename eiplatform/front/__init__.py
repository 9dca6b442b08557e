"""What the functions of :mod:`eiplatform` do; each joins a few calls of the parts below."""

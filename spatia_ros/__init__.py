"""spatia_ros: a scanned place as a world a robot can be simulated in.

The core (everything but :mod:`spatia_ros.nodes`) knows nothing of ROS. The generated
``spatia_ros.msg``, ``.srv`` and ``.action`` modules live in the install tree; extending
the package path lets a source checkout find them beside its own modules.
"""

import os
from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
# Worker threads that spin while they wait take whole scheduler slices from everything else on a
# small machine, this process included; OpenMP reads this once, when it is first loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# OpenMP first: it may be entered from several threads, and an old TBB beside it only draws a warning.
os.environ.setdefault("NUMBA_THREADING_LAYER_PRIORITY", "omp tbb workqueue")

__version__ = "0.1.0"

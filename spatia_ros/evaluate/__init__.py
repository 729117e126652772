"""How good it is: the measures, the baselines beside it, and the runs that make the figures.

Definitions are in docs/evaluation.md; every run writes its figures, pictures and effective config.
"""

from spatia_ros.evaluate.closed_loop import evaluate_closed_loop
from spatia_ros.evaluate.novel_view import evaluate_novel_view

__all__ = ["evaluate_closed_loop", "evaluate_novel_view"]

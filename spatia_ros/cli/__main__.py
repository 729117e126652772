"""``python -m spatia_ros.cli``."""

from spatia_ros.cli import main

raise SystemExit(main())

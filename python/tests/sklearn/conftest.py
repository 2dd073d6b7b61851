"""scikit-learn checks array inputs only with this, set before scipy is imported."""

import os

os.environ["SCIPY_ARRAY_API"] = "1"

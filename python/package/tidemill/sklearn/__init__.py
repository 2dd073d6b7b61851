"""The engine's stages as scikit-learn estimators: the same kernels, the same bits, and a way from a fitted model to a live pipeline.

| you want to | see |
|---|---|
| mask or flag values outside of bounds | `Threshold` |
| bring every feature to a common scale, also batch by batch | `Normalize` |
| compute statistics of moving windows | `MovingAverage`, `MovingMin`, `MovingMax`, `MovingStd`, `MovingMedian` |
| see how fast values change | `Rate` |
| find outliers | `ZScoreOutlier` |
| run a fitted model live | `export` |
| run it on a cluster, or by a `Chain` | `stages` |

`X` has a row for each record, in the order of time, and a column for each measurement. All estimators keep the number of rows. NaN is a missing
value, in the input and in the output. Infinities are values: `Threshold` masks them, and normalisers do not learn from them.

All rows are of one sensor, unless `sensor` names the sensor of each row: then every sensor has its own windows and constants. `time` is the
event time of each row, for windows of a duration and for derivatives, and ignored elsewhere; where it is not given, the index of a pandas
DataFrame is used if it has times. Both are metadata for scikit-learn, requested by default: its pipelines pass them on after
`sklearn.set_config(enable_metadata_routing=True)`.

Each call of `transform` starts with empty windows. A model whose windows go on from call to call is a live pipeline: see `export`.

Needs scikit-learn 1.8 or newer (1.9 for the names of columns of Polars 2) and pyarrow: the extra `tidemill[sklearn]`.
"""

from ._export import export, stages
from ._moving import MovingAverage, MovingMax, MovingMedian, MovingMin, MovingStd
from ._normalize import Normalize
from ._outlier import ZScoreOutlier
from ._rate import Rate
from ._threshold import Threshold

__all__ = [
    "MovingAverage",
    "MovingMax",
    "MovingMedian",
    "MovingMin",
    "MovingStd",
    "Normalize",
    "Rate",
    "Threshold",
    "ZScoreOutlier",
    "export",
    "stages",
]

"""scikit-learn's own checks of estimators."""

from sklearn.utils.estimator_checks import parametrize_with_checks
from tidemill.sklearn import MovingAverage, MovingMax, MovingMedian, MovingMin, MovingStd, Normalize, Rate, Threshold, ZScoreOutlier

ROW_BY_ROW = [
    Threshold(min=-1, max=1),
    Threshold(max=1, action="flag"),
    Normalize(),
    Normalize("min_max", range=(-1, 1), clip=True),
    Normalize("z_score"),
    Normalize("robust"),
    ZScoreOutlier(threshold=1.5),
    ZScoreOutlier("robust", threshold=0.75),
]
IN_TIME = [
    Normalize("z_score", running=True),
    MovingAverage(window=3),
    MovingMin(window=3),
    MovingMax(window=3),
    MovingStd(window=3, ddof=1, min_samples=2),
    MovingMedian(window=3),
    Rate(),
]
DEPENDS_ON_EARLIER_ROWS = {
    "check_methods_sample_order_invariance": "rows are in the order of time: a row depends on those before it",
    "check_methods_subset_invariance": "a row depends on those before it in the same call",
}


@parametrize_with_checks(
    [*ROW_BY_ROW, *IN_TIME],
    expected_failed_checks=lambda estimator: {} if estimator in ROW_BY_ROW else DEPENDS_ON_EARLIER_ROWS,
    xfail_strict=True,
)
def test_checks_of_scikit_learn(estimator, check):
    check(estimator)

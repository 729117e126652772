"""What a soak says: the drift of memory use, and a page of all figures."""

import numpy as np
import pytest

from spatia_ros.cli import soak
from spatia_ros.cli.soak_report import Sample, chart, drift_of, write_page


def life(pid, start_s, seconds, mb_per_h, noise=0.0, warm_mb=0.0):
    """A sample a second: growth, noise, and caches that fill in the first quarter."""
    rng, at = np.random.default_rng(0), np.arange(0.0, seconds)
    filled = warm_mb * np.minimum(at / (seconds / 4), 1.0)
    mb = 300.0 + filled + mb_per_h * at / 3600.0 + rng.normal(0, noise, len(at))
    return [Sample(start_s + t, pid, m) for t, m in zip(at.tolist(), mb.tolist(), strict=True)]


def test_growth_is_measured_after_warm_up_in_the_longest_life():
    samples = life(1, 0, 100, 5000.0) + life(2, 100, 900, 60.0, noise=0.1, warm_mb=200.0)
    drift = drift_of(samples)
    assert drift.pid == 2
    assert drift.slope == pytest.approx(60.0, abs=3.0)
    assert drift.low < 60.0 < drift.high
    assert drift.in_a_day == pytest.approx(24 * drift.slope)


def test_noise_is_no_growth_and_a_short_peak_neither():
    samples = life(2, 0, 900, 0.0, noise=1.0)
    samples[700:705] = [Sample(s.at_s, s.pid, s.resident_mb + 500.0) for s in samples[700:705]]
    drift = drift_of(samples)
    assert drift.low <= 0.0 <= drift.high
    assert abs(drift.slope) < 15.0


def test_too_short_a_life_says_nothing():
    assert drift_of(life(1, 0, 60, 5000.0)) is None
    assert drift_of([]) is None


def report(**changes):
    out = {
        "minutes": 3.0, "interrupted": False, "seed": 1, "command": "spatia ros soak",
        "done": {"checks": 5, "path": 3, "kills": 2},
        "checked": {"checks": 40, "frames": 9, "updates": 2, "maps compared": 1}, "wrong": [], "wrong_count": 0,
        "at_home": [], "allocated_mb_per_h": None,
        "restart_s": {"p50": 4.0, "max": 5.0}, "shared_memory_mb": {"before": 1.0, "end": 2.0},
    }  # fmt: skip
    return out | changes


def test_growth_that_is_sure_is_wrong_and_growth_that_may_be_none_is_not():
    grown, even = report(), report()
    soak.judge(grown, drift_of(life(1, 0, 900, 60.0, noise=0.1)))
    soak.judge(even, drift_of(life(1, 0, 900, 0.0, noise=0.1)))
    assert grown["wrong_count"] == 1
    assert "memory use grows" in grown["wrong"][0]
    assert even["wrong_count"] == 0
    assert even["drift_mb_per_h"]["in_24_h_mb"] == pytest.approx(24 * even["drift_mb_per_h"]["slope"])


def test_what_is_held_at_home_is_measured_more_finely_than_what_is_resident():
    even = report(at_home=[{"at_s": 30.0 * k, "pid": 1, "allocated_mb": 100.0 + 0.001 * (k % 3)} for k in range(30)])
    soak.judge(even, drift_of(life(1, 0, 900, 0.0, noise=2.0)))
    held = even["allocated_mb_per_h"]
    assert abs(held["slope"]) < 0.1
    assert held["high"] - held["low"] < 0.5
    assert even["wrong_count"] == 0
    grown = report(at_home=[{"at_s": 30.0 * k, "pid": 1, "allocated_mb": 100.0 + 0.05 * k} for k in range(30)])
    soak.judge(grown, drift_of(life(1, 0, 900, 0.0, noise=2.0)))
    assert grown["allocated_mb_per_h"]["slope"] == pytest.approx(6.0)
    assert "what is allocated grows by 6.00 MB" in grown["wrong"][0]
    assert "allocated" in dict(soak.rows(grown, drift_of(life(1, 0, 900, 0.0))))


def test_the_rows_say_what_was_done_and_how_memory_use_went():
    rows = dict(soak.rows(report(), drift_of(life(1, 0, 900, 0.0))))
    assert rows["done"] == "5 things; killed 2 times, the lifecycle 0 times through"
    assert "9 frames" in rows["checked"]
    assert "45 comparisons" in rows["checked"]
    assert rows["memory use"].startswith("300 MB; +0.00 MB an hour")
    assert dict(soak.rows(report(restart_s=None), None))["memory use"].startswith("no life")


def test_the_page_names_what_did_not_hold_and_shows_the_chart(tmp_path):
    samples = life(1, 0, 300, 0.0)
    drift = drift_of(samples)
    picture = chart(samples, drift)
    assert picture.dtype == np.uint8
    assert (picture != picture[0, 0]).any()
    told = report(wrong=["tf: 1 < 2 from the pose"], wrong_count=1)
    write_page(tmp_path / "soak.html", told, soak.rows(told, drift), picture)
    page = (tmp_path / "soak.html").read_text()
    assert "tf: 1 &lt; 2 from the pose" in page
    assert "1 things did not hold" in page
    assert 'src="soak.png"' in page
    assert (tmp_path / "soak.png").stat().st_size > 1000

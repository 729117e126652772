"""What a soak says: the drift of memory use, and a page of all figures."""

import numpy as np
import pytest

from spatia_ros.cli import soak
from spatia_ros.cli.soak_report import Sample, chart, drift_of, write_page


def life(pid, start_s, seconds, mb_per_h, noise=0.0, warm_mb=0.0):
    """A sample every ten seconds: growth, noise, and caches that fill in the first quarter."""
    rng, at = np.random.default_rng(0), np.arange(0.0, seconds, 10.0)
    filled = warm_mb * np.minimum(at / (seconds / 4), 1.0)
    mb = 300.0 + filled + mb_per_h * at / 3600.0 + rng.normal(0, noise, len(at))
    return [Sample(start_s + t, pid, m) for t, m in zip(at.tolist(), mb.tolist(), strict=True)]


def test_growth_is_measured_in_the_last_life_from_where_it_is_watched():
    samples = life(1, 0, 500, 5000.0) + life(2, 500, 900, 60.0, noise=0.1, warm_mb=200.0)
    drift = drift_of(samples, 500 + 900 / 4)
    assert drift.pid == 2
    assert drift.seconds == pytest.approx(900 * 3 / 4, abs=20.0)
    assert drift.slope == pytest.approx(60.0, abs=3.0)
    assert drift.low < 60.0 < drift.high
    assert drift.in_a_day == pytest.approx(24 * drift.slope)


def test_noise_is_no_growth_and_a_short_peak_neither():
    samples = life(2, 0, 900, 0.0, noise=1.0)
    samples[70:72] = [Sample(s.at_s, s.pid, s.resident_mb + 500.0) for s in samples[70:72]]
    drift = drift_of(samples, 300)
    assert drift.low <= 0.0 <= drift.high
    assert abs(drift.slope) < 15.0


def test_too_short_a_time_says_nothing():
    assert drift_of(life(1, 0, 50, 5000.0), 0) is None
    assert drift_of(life(1, 0, 900, 5000.0), 845) is None
    assert drift_of([], 0) is None


def homes(resident, mb_per_h=0.0):
    """What is told at home: memory use as given, and so much growth in what is allocated."""
    return [
        {"at_s": s.at_s, "pid": s.pid, "resident_mb": s.resident_mb, "allocated_mb": 100.0 + mb_per_h * s.at_s / 3600.0}
        for s in resident
    ]


def report(**changes):
    out = {
        "minutes": 3.0, "interrupted": False, "seed": 1, "command": "spatia ros soak",
        "done": {"checks": 5, "path": 3, "kills": 2},
        "checked": {"checks": 40, "frames": 9, "updates": 2, "maps compared": 1}, "wrong": [], "wrong_count": 0,
        "at_home": [], "watched_s": 0.0, "growth": {},
        "restart_s": {"p50": 4.0, "max": 5.0}, "shared_memory_mb": {"before": 1.0, "end": 2.0},
    }  # fmt: skip
    return out | changes


def judged(resident, mb_per_h=0.0, **changes):
    out = report(at_home=homes(resident, mb_per_h), **changes)
    soak.judge(out)
    return out


def test_growth_that_is_sure_is_wrong_and_growth_that_may_be_none_is_not():
    grown, even = judged(life(1, 0, 900, 60.0, noise=0.1)), judged(life(1, 0, 900, 0.0, noise=0.1))
    assert grown["wrong_count"] == 1
    assert "memory use grows" in grown["wrong"][0]
    assert "more than 1" in dict(soak.rows(grown))["memory use"]
    assert even["wrong_count"] == 0
    watched = even["growth"]["watched"]
    assert watched["in_24_h_mb"] == pytest.approx(24 * watched["resident"]["slope"])


def test_what_ebbs_shows_in_the_second_half():
    told = judged(life(1, 0, 1200, 0.0, noise=0.01, warm_mb=50.0))  # it fills in the first quarter
    assert told["growth"]["second half"]["resident"]["high"] < 1.0 < told["growth"]["watched"]["resident"]["high"]
    assert told["growth"]["second half"]["minutes"] == pytest.approx(10.0, abs=0.2)


def test_nothing_is_said_of_what_was_not_watched():
    told = judged(life(1, 0, 900, 60.0), watched_s=None)
    assert (told["growth"], told["wrong_count"]) == ({}, 0)
    assert judged([])["growth"] == {}


def test_what_is_allocated_is_judged_by_itself():
    even = judged(life(1, 0, 900, 0.0, noise=2.0))
    assert even["growth"]["watched"]["allocated"] == {"slope": 0.0, "low": 0.0, "high": 0.0}
    assert even["growth"]["watched"]["resident"]["high"] > 1.0
    assert even["wrong_count"] == 0
    assert "not shown to be at most 1" in dict(soak.rows(even))["memory use"]
    grown = judged(life(1, 0, 900, 0.0, noise=2.0), mb_per_h=6.0)
    assert grown["growth"]["watched"]["allocated"]["slope"] == pytest.approx(6.0)
    assert "what is allocated grows by 6.00 MB" in grown["wrong"][0]


def test_the_rows_say_what_was_done_and_how_memory_use_went():
    rows = soak.rows(judged(life(1, 0, 900, 0.0)))
    assert dict(rows)["done"] == "5 things; killed 2 times, the lifecycle 0 times through"
    assert "9 frames" in dict(rows)["checked"]
    assert "45 comparisons" in dict(rows)["checked"]
    whole, half = (value for name, value in rows if name == "memory use")
    assert whole.startswith("300 MB; +0.00 MB an hour (+0.00 .. +0.00: at most 1)")
    assert whole.endswith("all of the time watched, 14.8 min")
    assert half.endswith("the second half of the time watched, 7.3 min")
    assert dict(soak.rows(report(restart_s=None)))["memory use"].startswith("no life")


def test_kernels_that_came_while_memory_was_watched_are_told():
    held = [{"at_s": at, "pid": 1, "resident_mb": 1.0, "kernels": n} for at, n in ((1.0, 40.0), (5.0, 70.0), (9.0, 73.0))]
    assert dict(soak.rows(report(at_home=held, watched_s=4.0)))["kernels"] == "73, 3 of them new in the time watched"
    assert "kernels" not in dict(soak.rows(report(at_home=held, watched_s=None)))


def test_the_page_names_what_did_not_hold_and_shows_the_chart(tmp_path):
    samples = life(1, 0, 300, 0.0)
    drift = drift_of(samples, 0)
    picture = chart(samples, drift)
    assert picture.dtype == np.uint8
    assert (picture != picture[0, 0]).any()
    told = report(wrong=["tf: 1 < 2 from the pose"], wrong_count=1)
    write_page(tmp_path / "soak.html", told, soak.rows(told), picture)
    page = (tmp_path / "soak.html").read_text()
    assert "tf: 1 &lt; 2 from the pose" in page
    assert "1 things did not hold" in page
    assert 'src="soak.png"' in page
    assert (tmp_path / "soak.png").stat().st_size > 1000

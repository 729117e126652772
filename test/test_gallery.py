"""The gallery: its plan, and a tiny film of it end to end."""

import shlex
from dataclasses import replace
from itertools import combinations

import cv2
import numpy as np
import pytest
from scipy.spatial import cKDTree

from spatia_ros import cli
from spatia_ros.actors import script
from spatia_ros.cli import gallery, gallery_recording
from spatia_ros.gallery import compose, places
from spatia_ros.gallery.film import Film, Take, View
from spatia_ros.gallery.films import FILMS
from spatia_ros.gallery.shoot import Shot
from spatia_ros.gallery.studio import Studio, scripts_folder
from spatia_ros.types import Camera, SpatiaError

TINY = ["--size", "64x48", "--rate", "2", "--set", "generator.name=projection", "--set", "memory.voxel_m=0.03"]
SCRIPTS = sorted({(film.name, take.script) for film in FILMS for take in film.takes})


def test_names_are_unique_and_everything_named_is_there():
    assert len({film.name for film in FILMS} | {gallery_recording.NAME}) == len(FILMS) + 1
    assert {film.place for film in FILMS} <= set(places.PLACES)
    assert {take.script for film in FILMS for take in film.takes} == {path.stem for path in scripts_folder().glob("*.yaml")}


@pytest.mark.parametrize("film", FILMS, ids=lambda film: film.name)
def test_camera_moves_gently_and_upright(film):
    trajectory = film.trajectory(0, 30.0)
    eyes, up = trajectory.T_world_cam[:, :3, 3], np.array(film.up)
    steps = np.linalg.norm(np.diff(eyes, axis=0), axis=1)
    assert len(trajectory) == round(film.length_s * 30) + 1
    assert steps.max() < 8.0 / 30
    assert max(steps[0], steps[-1]) < 0.3 * steps.max()
    assert np.abs(np.diff(steps)).max() < 0.02, "the camera jerks"
    assert (-trajectory.T_world_cam[:, :3, 1] @ up > 0.7).all()


@pytest.mark.parametrize(("name", "played"), SCRIPTS)
def test_nobody_sinks_or_walks_through_another(name, played):
    film = next(film for film in FILMS if film.name == name)
    cast, up = script.load(scripts_folder() / f"{played}.yaml"), np.array(film.up)
    for t in np.arange(0.0, film.length_s + 1e-6, 0.4):
        posed = cast.at(float(t))
        assert all((each.points.xyz @ up).min() > -0.02 for each in posed)
        for a, b in combinations(posed, 2):
            if ((a.low < b.high) & (b.low < a.high)).all():
                apart = cKDTree(a.points.xyz[::7]).query(b.points.xyz[::7])[0].min()
                assert apart > 0.04, f"{a.name} and {b.name} meet at {t:.2f} s"


def test_the_two_takes_of_a_what_if_differ_by_one_line():
    for film in (film for film in FILMS if len(film.takes) == 2):
        texts = [(scripts_folder() / f"{take.script}.yaml").read_text().splitlines() for take in film.takes]
        a, b = ([line for line in text if line[:1] != "#"] for text in texts)
        assert len(b) == len(a) + 1
        assert set(a) < set(b)


def test_camera_rests_between_equal_views():
    views = tuple(View(t, eye, (0, 5, 0)) for t, eye in ((0, (0, 0, 0)), (1, (1, 0, 0)), (2, (1, 0, 0)), (3, (0, 0, 0))))
    film = Film("f", "t", "s", "room", views, (Take("", "edit"),))
    assert np.allclose(film.poses(np.array([0.0, 1.0, 1.3, 2.0, 3.0]))[:, 0, 3], [0, 1, 1, 1, 0])
    with pytest.raises(SpatiaError, match="rising times"):
        replace(film, views=views[::-1])


def test_what_differs_and_what_should_not():
    rgb, nobody = np.full((4, 6, 3), 90, np.uint8), np.zeros((4, 6), np.uint16)
    here, other, third = nobody.copy(), rgb.copy(), rgb.copy()
    here[1, 2], other[1, 2], third[3, 3] = 1, 200, 91
    a, b, c = (Shot(x, ids, 0.0, 0.0, ()) for x, ids in ((rgb, nobody), (other, here), (third, nobody)))
    assert np.argwhere(compose.differing(a, b)).tolist() == [[1, 2]]
    assert (compose.stray(a, b), compose.stray(a, c)) == (0, 1)
    assert compose.likeness_db(a, b) == 99.0
    assert compose.likeness_db(a, c) == pytest.approx(10 * np.log10(255**2 * 24))
    assert compose.difference_picture(a, b)[1, 2].tolist() != compose.difference_picture(a, a)[1, 2].tolist()


def test_a_title_and_the_clocks_do_not_run_into_each_other():
    title = "One stands still among many"
    shot = Shot(np.zeros((48, 320, 3), np.uint8), np.zeros((48, 320), np.uint16), 1.2, 1.3, ())
    alone, film = compose.captioned([shot.rgb], [title], ""), compose.moment([shot], ["alone"], title)
    assert np.array_equal(film[: compose.BAR], alone[: compose.BAR])
    assert film[compose.BAR : -48].max() > compose.BACKGROUND[0] + 50, "the clocks are below it"


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """A gallery with the film of an edit, its room scanned with a tiny camera."""
    folder = tmp_path_factory.mktemp("gallery")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(places, "SCANNER", Camera.from_fov(96, 72, 1.5))
        patch.setattr(compose, "STRIP_HEIGHT", 48)  # frames stand in the strip as they are
        assert cli.main(["gallery", "--out", str(folder), "--only", "edit", *TINY]) == 0
        yield folder


def test_film_end_to_end(out):
    film = next(film for film in FILMS if film.name == "edit")
    video = cv2.VideoCapture(str(out / "edit" / "film.mp4"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == round(2 * film.length_s) + 1
    page = (out / "index.html").read_text()
    assert all(word in page for word in (film.sentence, "recolour", "edit/film.mp4"))
    assert "bullet-time" not in page
    strip = cv2.imread(str(out / "edit" / "strip.png"))[..., ::-1].astype(int)
    red_before, red_after = (strip[28:76, x : x + 64, 0] - strip[28:76, x : x + 64, 1] for x in (0, 2 * 68))
    assert (red_before > 40).mean() - (red_after > 40).mean() > 0.05, "a red sofa becomes green"


def test_what_is_there_is_kept_and_what_changed_is_not(out):
    video = out / "edit" / "film.mp4"
    made = video.stat().st_mtime_ns
    assert cli.main(["gallery", "--out", str(out), "--only", "edit", *TINY]) == 0
    assert video.stat().st_mtime_ns == made
    studio = studio_of(out, [*TINY[:2], "--rate", "3", *TINY[4:]])
    assert studio.facts(FILMS[3]) is None


def test_the_command_on_the_page_makes_the_same_frames(out, tmp_path):
    studio, film = studio_of(out, TINY), next(film for film in FILMS if film.name == "reverse")
    studio.make(film)
    words = shlex.split(gallery.command(studio, film))
    assert cli.main([*words[1 : words.index("--out")], "--out", str(tmp_path / "run"), "--no-video"]) == 0
    first = cv2.imread(str(sorted((tmp_path / "run" / "rgb").iterdir())[0]))
    assert np.array_equal(first, cv2.imread(str(out / "reverse" / "strip.png"))[28:76, :64])


def test_two_takes_are_shown_beside_what_differs(out):
    views = (View(0.0, (4.6, 3.7, 1.5), (2.4, 1.2, 0.6)), View(2.0, (4.4, 3.7, 1.5), (2.4, 1.2, 0.6)))
    takes = Take("alone", "edit"), Take("with others", "reverse")
    film = Film("two", "Two", "Two takes.", "room", views, takes, moments_s=(1.0,))
    facts = studio_of(out, TINY).make(film)
    assert facts["differing_share"] > 0.01
    assert (facts["frames"], facts["differing_without_actor_px"]) == (5, 0)
    assert cv2.imread(str(out / "two" / "strip.png")).shape[1] == 3 * 64 + 2 * compose.GAP


def test_bad_names_are_refused(tmp_path, capsys):
    assert cli.main(["gallery", "--out", str(tmp_path), "--only", "nonsense"]) == 2
    assert "bullet-time" in capsys.readouterr().err


def test_the_recordings_film_is_one_command(tmp_path):
    words = gallery_recording.words(tmp_path, [])
    args = cli.build_parser("spacetime").parse_args(words)
    assert (args.time, args.out) == ("bullet-time", tmp_path / gallery_recording.NAME)
    assert gallery_recording.facts(tmp_path, []) is None


def studio_of(out, words):
    args = cli.build_parser("gallery").parse_args(["gallery", *words])
    return Studio(out, gallery.framed(args), lambda things, *_: things, gallery.change)
